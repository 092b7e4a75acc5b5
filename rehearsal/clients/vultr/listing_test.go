package vultr

import (
	"net/http"
	"testing"

	"echora.example/clients/sim"
	"github.com/vultr/govultr/v3"
)

type build struct {
	ID      string `json:"id"`
	Image   string `json:"snapshot_id"`
	Version string `json:"version"`
	Live    bool   `json:"live"`
}

// ask asks the vendor's part of the API, which the client has no calls of, by the client's own requests.
func ask(c *govultr.Client, method, path string, body, answer any) error {
	request, err := c.NewRequest(ctx, method, path, body)
	if err != nil {
		return err
	}
	_, err = c.DoWithContext(ctx, request, answer)
	return err
}

func TestAReleaseTakesThePlaceOfTheBuildThatIsLive(t *testing.T) {
	s, c := start(t, sim.Options{})
	image := snapshot(t, s, c, rent(t, s, c, order("echora-1")).ID, "echora")
	var apps struct {
		List []struct {
			ID     string `json:"id"`
			Public bool   `json:"public"`
		} `json:"marketplace_apps"`
	}
	done(t, ask(c, http.MethodGet, "/v2/marketplace/apps", nil, &apps))
	app := "/v2/marketplace/apps/" + apps.List[0].ID
	wanted := map[string]any{"use_vendor_data": false, "snapshot_id": image.ID}
	s.Change("snapshot", map[string]any{"status": "pending"})
	if ask(c, http.MethodPost, app+"/builds", wanted, nil) == nil {
		t.Error("a snapshot that is not complete makes a build")
	}
	s.Change("snapshot", map[string]any{"status": "complete"})
	release := func(version string) build {
		t.Helper()
		var made struct {
			Build build `json:"marketplace_app_build"`
		}
		done(t, ask(c, http.MethodPost, app+"/builds", wanted, &made))
		done(t, ask(c, http.MethodPatch, app+"/builds/"+made.Build.ID, map[string]any{"version": version}, &made))
		return made.Build
	}
	old := release("1.0.0")
	done(t, ask(c, http.MethodPost, app+"/builds/"+old.ID+"/publish", nil, nil))
	next := release("1.1.0")
	if ask(c, http.MethodPost, app+"/builds/"+next.ID+"/publish", nil, nil) == nil {
		t.Error("two builds are live")
	}
	done(t, ask(c, http.MethodPost, app+"/builds/"+old.ID+"/unpublish", nil, nil))
	done(t, ask(c, http.MethodPost, app+"/builds/"+next.ID+"/publish", nil, nil))
	done(t, ask(c, http.MethodDelete, app+"/builds/"+old.ID, nil, nil))

	var builds struct {
		List []build `json:"marketplace_app_builds"`
	}
	done(t, ask(c, http.MethodGet, app+"/builds", nil, &builds))
	if kept := (build{ID: next.ID, Image: image.ID, Version: "1.1.0", Live: true}); len(builds.List) != 1 || builds.List[0] != kept {
		t.Errorf("the builds are %+v", builds.List)
	}
	done(t, ask(c, http.MethodPatch, app+"/visibility", map[string]any{"public": true}, nil))
	var told struct {
		App struct {
			Public bool `json:"public"`
		} `json:"marketplace_app"`
	}
	done(t, ask(c, http.MethodGet, app, nil, &told))
	if !told.App.Public {
		t.Error("nobody sees it")
	}
}

// offered finds what a buyer chooses, whose form has to ask for all of this.
func offered(t *testing.T, c *govultr.Client, form map[string]string) string {
	t.Helper()
	for _, offer := range listed[govultr.Application](t)(c.Application.List(ctx, nil)) {
		if offer.Name != "Echora" || offer.Type != "marketplace" {
			continue
		}
		asked := map[string]bool{}
		for _, variable := range must[[]govultr.MarketplaceAppVariable](t)(c.Marketplace.ListAppVariables(ctx, offer.ImageID)) {
			asked[variable.Name] = true
		}
		for name := range form {
			if !asked[name] {
				t.Errorf("the form does not ask for %s", name)
			}
		}
		return offer.ImageID
	}
	t.Fatal("there is no such listing")
	return ""
}

func TestABuyerOrdersTheListing(t *testing.T) {
	s, c := start(t, sim.Options{})
	wanted := order("chez-eve")
	wanted.OsID, wanted.AppVariables = 0, map[string]string{"domain": "chat.example.org"}
	wanted.ImageID = offered(t, c, wanted.AppVariables)
	if made := rent(t, s, c, wanted); made.ImageID != wanted.ImageID {
		t.Errorf("it is made of %q", made.ImageID)
	}
	// The other path that is told of the form.
	done(t, ask(c, http.MethodGet, "/v2/applications/"+wanted.ImageID+"/variables", nil, nil))
	for what, spoil := range map[string]func(*govultr.InstanceCreateReq){
		"another image":  func(o *govultr.InstanceCreateReq) { o.ImageID = "nobodys" },
		"an OS as well":  func(o *govultr.InstanceCreateReq) { o.OsID = 2284 },
		"nothing at all": func(o *govultr.InstanceCreateReq) { o.ImageID = "" },
	} {
		spoilt := *wanted
		spoil(&spoilt)
		if _, _, err := c.Instance.Create(ctx, &spoilt); err == nil {
			t.Errorf("%s was taken", what)
		}
	}
}
