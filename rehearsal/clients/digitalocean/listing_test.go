package digitalocean

import (
	"net/http"
	"testing"

	"echora.example/clients/sim"
	"github.com/digitalocean/godo"
)

const listing = "/api/v1/vendor-portal/apps/5f0c8a2e9d1b4c3a7e6f5d4c"

type app struct {
	ID     string `json:"appId"`
	Type   string `json:"type"`
	Status struct {
		Value string `json:"value"`
	} `json:"status"`
	Data struct {
		Version string `json:"version"`
		OS      string `json:"osVersion"`
		Image   int    `json:"imageId"`
		Reason  string `json:"reasonForUpdate"`
	} `json:"customData"`
}

// portal asks the vendor portal, which the client has no calls of, by the client's own requests.
func portal(t *testing.T, c *godo.Client, method, path string, body any) (app, error) {
	t.Helper()
	request, err := c.NewRequest(ctx, method, path, body)
	if err != nil {
		t.Fatal(err)
	}
	var answer app
	_, err = c.Do(ctx, request, &answer)
	return answer, err
}

func TestAnUpdateOfTheListingWaitsForItsReview(t *testing.T) {
	s, c := start(t, sim.Options{})
	image := snapshot(t, s, c, rent(t, s, c, order("echora-1")).ID, "echora").ID
	refused := func(c *godo.Client, path string, body any, wanted int) {
		t.Helper()
		_, err := portal(t, c, http.MethodPatch, path, body)
		if status, _ := failure(t, err); status != wanted {
			t.Errorf("%v is refused with %d", body, status)
		}
	}
	refused(c, listing, map[string]any{"reasonForUpdate": "none"}, http.StatusBadRequest)
	refused(c, listing, map[string]any{"imageId": 4711}, http.StatusForbidden)
	refused(client(t, s, "wrong"), listing, map[string]any{"imageId": image}, http.StatusForbidden)
	refused(c, listing+"0", map[string]any{"imageId": image}, http.StatusNotFound)

	update := map[string]any{"imageId": image, "version": "1.2.3", "reasonForUpdate": "news"}
	told, err := portal(t, c, http.MethodPatch, listing, update)
	if err != nil {
		t.Fatal(err)
	}
	if told.Status.Value != "pending" || told.Type != "droplet" || told.Data.Image != image || told.Data.Version != "1.2.3" {
		t.Errorf("it is %+v", told)
	}
	if told.Data.OS != "Ubuntu 24.04" {
		t.Errorf("what was not told is %q now", told.Data.OS)
	}
	refused(c, listing, update, http.StatusBadRequest)
	if again, err := portal(t, c, http.MethodGet, listing, nil); err != nil || again != told {
		t.Errorf("it is read as %+v, %v", again, err)
	}

	s.Change("app", map[string]any{"status": "published"})
	told, err = portal(t, c, http.MethodPatch, listing, map[string]any{"imageId": image, "osVersion": ""})
	if err != nil || told.Data.OS != "" || told.Data.Reason != "news" {
		t.Errorf("after the review it is %+v, %v", told, err)
	}
}
