package linode

import (
	"bytes"
	"context"
	"encoding/base64"
	"errors"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"echora.example/clients/sim"
	"github.com/linode/linodego"
)

// refused says that a call failed with this status and these words.
func refused(t *testing.T, err error, status int, words string) {
	t.Helper()
	var failed *linodego.Error
	if !errors.As(err, &failed) {
		t.Fatalf("this is no error of the provider: %v", err)
	}
	if failed.Code != status || failed.Message != words {
		t.Errorf("it is refused with %d %q", failed.Code, failed.Message)
	}
}

func TestATokenMayWhatItsScopesSay(t *testing.T) {
	scopes := []string{"linodes:read_only", "images:read_write"}
	s, c := start(t, sim.Options{Scopes: scopes})
	told := http.Header{}
	c.OnAfterResponse(func(response *linodego.Response) error {
		told = response.Header()
		return nil
	})
	must[[]linodego.Instance](t)(c.ListInstances(ctx, nil))
	if told.Get("X-OAuth-Scopes") != "linodes:read_only images:read_write" || told.Get("X-Accepted-OAuth-Scopes") != "linodes:read_only" {
		t.Errorf("headers %v", told)
	}
	_, err := c.CreateInstance(ctx, order("echora-1"))
	refused(t, err, http.StatusUnauthorized, "Your OAuth token is not authorized to use this endpoint.")
	if told.Get("X-Accepted-OAuth-Scopes") != "linodes:read_write" {
		t.Errorf("headers %v", told)
	}
	_, err = c.ListEvents(ctx, nil)
	refused(t, err, http.StatusUnauthorized, "Your OAuth token is not authorized to use this endpoint.")
	must[[]linodego.Region](t)(c.ListRegions(ctx, nil))
	_, err = client(t, s, "wrong").GetProfile(ctx)
	refused(t, err, http.StatusUnauthorized, "Invalid Token")
	if lines := s.Ledger().Lines; len(lines) != 0 {
		t.Errorf("refused calls made %+v", lines)
	}
}

func TestABadOrderIsRefusedWithItsFieldAndLeavesNoTrace(t *testing.T) {
	s, c := start(t, sim.Options{})
	for words, spoil := range map[string]func(*linodego.InstanceCreateOptions){
		"[region] region is not valid":                      func(o *linodego.InstanceCreateOptions) { o.Region = "mars" },
		"[type] A valid plan type by that ID was not found": func(o *linodego.InstanceCreateOptions) { o.Type = "g0-none" },
		"[image] image is not valid":                        func(o *linodego.InstanceCreateOptions) { o.Image = "linode/none" },
		"[label] label is not valid":                        func(o *linodego.InstanceCreateOptions) { o.Label = "no label" },
		"[root_pass] root_pass is required":                 func(o *linodego.InstanceCreateOptions) { o.AuthorizedKeys = nil },
		"[tags] Tags must be 3-50 characters":               func(o *linodego.InstanceCreateOptions) { o.Tags = []string{"ab"} },
		"[stackscript_id] stackscript_id is not valid":      func(o *linodego.InstanceCreateOptions) { o.StackScriptID = 4711 },
		"[metadata] user_data must be base64 encoded": func(o *linodego.InstanceCreateOptions) {
			o.Metadata = &linodego.InstanceMetadataOptions{UserData: "#cloud-config"}
		},
		"[metadata] user_data must be shorter than 16384 bytes": func(o *linodego.InstanceCreateOptions) { o.Metadata = userData(16384) },
	} {
		spoilt := order("echora-1")
		spoil(&spoilt)
		_, err := c.CreateInstance(ctx, spoilt)
		refused(t, err, http.StatusBadRequest, words)
	}
	s.Change("account", map[string]any{"machine_limit": 0})
	_, err := c.CreateInstance(ctx, order("echora-1"))
	refused(t, err, http.StatusBadRequest, "Account Limit reached. Please open a support ticket.")
	_, err = c.CreateSSHKey(ctx, linodego.SSHKeyCreateOptions{Label: "mine", SSHKey: "no key"})
	refused(t, err, http.StatusBadRequest, "[ssh_key] SSH Key key-type must be one of ssh-dss, ssh-rsa, ecdsa-sha2-nistp, ssh-ed25519, or sk-ecdsa-sha2-nistp256.")
	if lines := s.Ledger().Lines; len(lines) != 0 {
		t.Errorf("refused orders made %+v", lines)
	}
	if events := must[[]linodego.Event](t)(c.ListEvents(ctx, nil)); len(events) != 0 {
		t.Errorf("refused orders made %+v", events)
	}
}

// userData is as long as that before it is encoded.
func userData(length int) *linodego.InstanceMetadataOptions {
	return &linodego.InstanceMetadataOptions{UserData: base64.StdEncoding.EncodeToString(bytes.Repeat([]byte("#"), length))}
}

func TestUserDataMayBeAsLongAsTheLimit(t *testing.T) {
	_, c := start(t, sim.Options{})
	wanted := order("echora-1")
	wanted.Metadata = userData(16383)
	if made := must[*linodego.Instance](t)(c.CreateInstance(ctx, wanted)); !made.HasUserData {
		t.Errorf("it is %+v", made)
	}
}

func TestALabelIsTakenOnce(t *testing.T) {
	_, c := start(t, sim.Options{})
	must[*linodego.Instance](t)(c.CreateInstance(ctx, order("echora-1")))
	_, err := c.CreateInstance(ctx, order("echora-1"))
	refused(t, err, http.StatusBadRequest, "[label] Label must be unique among your linodes")
}

func TestABusyInstanceIsAskedAgainAndAgain(t *testing.T) {
	s, c := start(t, sim.Options{})
	s.Fault(sim.Fault{Fault: "never", What: "boot"})
	made := must[*linodego.Instance](t)(c.CreateInstance(ctx, order("echora-1")))
	soon, cancel := context.WithCancel(ctx)
	defer cancel()
	asked := make(chan error)
	go func() { asked <- c.ShutdownInstance(soon, made.ID) }()
	s.Until("it was asked three times", func() bool { return s.Count(http.MethodPost, "/v4/linode/instances/") >= 3 })
	cancel()
	if err := <-asked; err == nil {
		t.Error("an instance that boots was shut down")
	}
	must[*linodego.Instance](t)(c.WaitForInstanceStatus(ctx, made.ID, linodego.InstanceBooting, seconds))
}

func TestBurstsOfErrorsAreSurvivedAndOthersTold(t *testing.T) {
	s, c := start(t, sim.Options{})
	for _, burst := range []struct {
		error, words string
		status       int
	}{
		{"unavailable", "", 0},
		{"busy", "", 0},
		{"broken", "Internal Server Error", http.StatusInternalServerError},
		{"maintenance", "Currently in maintenance mode", http.StatusServiceUnavailable},
	} {
		before := s.Count(http.MethodGet, "/v4/account")
		s.Fault(sim.Fault{Fault: "error", Error: burst.error, Calls: &sim.Calls{Path: "/v4/account", Times: 3}})
		_, err := c.GetAccount(ctx)
		asked := s.Count(http.MethodGet, "/v4/account") - before
		if burst.words == "" {
			done(t, err)
			if asked != 4 {
				t.Errorf("%s: it asked %d times", burst.error, asked)
			}
			continue
		}
		refused(t, err, burst.status, burst.words)
		if asked != 1 {
			t.Errorf("%s: it asked %d times", burst.error, asked)
		}
		s.Heal()
	}
}

func TestAClientThatWaitsGetsThroughTheLimit(t *testing.T) {
	// Its window of two minutes is over within half a second; the client is told to wait a whole one.
	s, c := start(t, sim.Options{Requests: 2, Speed: 240})
	told, wait := http.Header{}, ""
	c.OnAfterResponse(func(response *linodego.Response) error {
		told = response.Header()
		if response.StatusCode() == http.StatusTooManyRequests {
			wait = told.Get("Retry-After")
		}
		return nil
	})
	must[*linodego.Account](t)(c.GetAccount(ctx))
	if told.Get("X-RateLimit-Limit") != "2" || told.Get("X-RateLimit-Remaining") != "1" || told.Get("X-RateLimit-Reset") == "" {
		t.Errorf("headers %v", told)
	}
	s.Until("the limit is reached and left behind", func() bool {
		must[*linodego.Account](t)(c.GetAccount(ctx))
		return s.Answered(http.StatusTooManyRequests) > 0
	})
	if wait != "1" {
		t.Errorf("it was told to wait for %q seconds", wait)
	}
}

func TestAReplyThatIsCutIsAnErrorAlthoughTheInstanceWasMade(t *testing.T) {
	s, c := start(t, sim.Options{})
	s.Fault(sim.Fault{Fault: "cut", Calls: &sim.Calls{Method: http.MethodPost, Path: "/v4/linode/instances"}})
	if _, err := c.CreateInstance(ctx, order("echora-1")); err == nil || !strings.Contains(err.Error(), "unexpected EOF") {
		t.Errorf("the client says %v", err)
	}
	if left := s.Left(); !slices.Equal(left, []string{"machine echora-1"}) {
		t.Errorf("left are %q", left)
	}
	found := must[[]linodego.Instance](t)(c.ListInstances(ctx, linodego.NewListOptions(0, `{"label": "echora-1"}`)))
	if len(found) != 1 {
		t.Fatalf("by its label there are %+v", found)
	}
	done(t, c.DeleteInstance(ctx, found[0].ID))
}

func TestAnImageThatFailsIsToldByItsEvent(t *testing.T) {
	s, c := start(t, sim.Options{})
	instance := rent(t, c, order("echora-1"))
	failing := func(what string) {
		image, _, err := capture(t, c, instance.ID, linodego.ImageCreateOptions{Label: what})
		if err == nil || !strings.Contains(err.Error(), "has failed") {
			t.Errorf("%s: the client says %v", what, err)
		}
		_, err = c.GetImage(ctx, image.ID)
		refused(t, err, http.StatusNotFound, "Not found")
	}
	s.Fault(sim.Fault{Fault: "fails", What: "snapshot"})
	failing("on demand")
	s.Change("account", map[string]any{"image_megabytes": 1000})
	failing("too large")
	s.Change("account", map[string]any{"image_megabytes": 6144})
	_, _, err := capture(t, c, instance.ID, linodego.ImageCreateOptions{Label: "well"})
	done(t, err)
	if left := s.Left(); !slices.Equal(left, []string{"machine echora-1", "snapshot well"}) {
		t.Errorf("left are %q", left)
	}
}

func TestADiskThatCannotBeImagedIsRefused(t *testing.T) {
	_, c := start(t, sim.Options{})
	instance := rent(t, c, order("echora-1"))
	disks := must[[]linodego.InstanceDisk](t)(c.ListInstanceDisks(ctx, instance.ID, nil))
	_, err := c.CreateImage(ctx, linodego.ImageCreateOptions{DiskID: disks[1].ID, Label: "swap"})
	refused(t, err, http.StatusBadRequest, "[disk_id] Only ext3 and ext4 disks can be imaged")
	_, err = c.CreateImage(ctx, linodego.ImageCreateOptions{DiskID: 4711, Label: "none"})
	refused(t, err, http.StatusNotFound, "[disk_id] Not found")
	_, err = c.CreateImage(ctx, linodego.ImageCreateOptions{DiskID: imaged(t, c, instance.ID).ID, Label: "no/label"})
	refused(t, err, http.StatusBadRequest, "[label] label is not valid")
}

func TestAnImageThatTakesLongOutlastsTheClientsPatience(t *testing.T) {
	s, c := start(t, sim.Options{})
	instance := rent(t, c, order("echora-1"))
	s.Fault(sim.Fault{Fault: "longer", What: "snapshot", Factor: 1e6})
	poller := must[*linodego.EventPoller](t)(c.NewEventPoller(ctx, instance.ID, linodego.EntityLinode, linodego.ActionDiskImagize))
	made := must[*linodego.Image](t)(c.CreateImage(ctx, linodego.ImageCreateOptions{DiskID: imaged(t, c, instance.ID).ID, Label: "late"}))
	soon, cancel := context.WithTimeout(ctx, 100*time.Millisecond)
	defer cancel()
	if _, err := poller.WaitForFinished(soon, seconds); err == nil || !strings.Contains(err.Error(), "deadline exceeded") {
		t.Errorf("the client says %v", err)
	}
	done(t, c.DeleteInstance(ctx, instance.ID))
	// What the plugin leaves when its patience ends.
	if left := s.Left(); !slices.Equal(left, []string{"snapshot late"}) {
		t.Errorf("left are %q", left)
	}
	done(t, c.DeleteImage(ctx, made.ID))
}

func TestAnInstanceThatVanishesIsNotFound(t *testing.T) {
	s, c := start(t, sim.Options{})
	instance := rent(t, c, order("echora-1"))
	s.Fault(sim.Fault{Fault: "slow", Milliseconds: 50, Calls: &sim.Calls{Method: http.MethodGet}})
	s.Fault(sim.Fault{Fault: "vanish", Kind: "machine", Calls: &sim.Calls{Method: http.MethodGet, After: 1}})
	must[*linodego.Instance](t)(c.GetInstance(ctx, instance.ID))
	_, err := c.GetInstance(ctx, instance.ID)
	refused(t, err, http.StatusNotFound, "Not found")
	if left := s.Left(); len(left) != 0 {
		t.Errorf("left are %q", left)
	}
}
