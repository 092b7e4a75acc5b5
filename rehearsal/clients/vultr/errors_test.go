package vultr

import (
	"encoding/json"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"echora.example/clients/sim"
	"github.com/vultr/govultr/v3"
)

// refused says that a call failed with this status and these words; the client's error is the reply's body.
func refused(t *testing.T, err error, status int, words string) {
	t.Helper()
	var told struct {
		Error  string `json:"error"`
		Status int    `json:"status"`
	}
	if err == nil {
		t.Fatalf("not refused: %s", words)
	}
	if problem := json.Unmarshal([]byte(err.Error()), &told); problem != nil {
		t.Fatalf("this is no error of the provider: %v", err)
	}
	if told.Status != status || told.Error != words {
		t.Errorf("it is refused with %d %q", told.Status, told.Error)
	}
}

func TestAWrongKeyMayNothingAndAReadOnlyOneMayLook(t *testing.T) {
	s, _ := start(t, sim.Options{})
	_, _, err := client(t, s, "wrong").Account.Get(ctx)
	refused(t, err, http.StatusUnauthorized, "Invalid API token.")
	looking := client(t, s, sim.ReadOnly)
	must[*govultr.Account](t)(looking.Account.Get(ctx))
	_, _, err = looking.Instance.Create(ctx, order("echora-1"))
	refused(t, err, http.StatusForbidden, "Forbidden")
}

func TestAnAddressThatTheKeyDoesNotAllowIsNamed(t *testing.T) {
	s, c := start(t, sim.Options{})
	s.Fault(sim.Fault{Fault: "error", Error: "unauthorized_address", Calls: &sim.Calls{Times: 1}})
	_, _, err := c.Account.Get(ctx)
	refused(t, err, http.StatusUnauthorized, "Unauthorized IP address: 203.0.113.99")
}

func TestABadOrderIsRefusedAndLeavesNoTrace(t *testing.T) {
	s, c := start(t, sim.Options{})
	one := "Exactly one of os_id, snapshot_id, iso_id, app_id and image_id is needed."
	nowhere := "3f2b6a52-0a8e-4c37-9f0e-6b7a2a4b8c11"
	for _, wrong := range []struct {
		words string
		spoil func(*govultr.InstanceCreateReq)
	}{
		{"Invalid region.", func(o *govultr.InstanceCreateReq) { o.Region = "mars" }},
		{"Missing region.", func(o *govultr.InstanceCreateReq) { o.Region = "" }},
		{"Invalid plan chosen.", func(o *govultr.InstanceCreateReq) { o.Plan = "vc2-0c" }},
		{"Invalid OS.", func(o *govultr.InstanceCreateReq) { o.OsID = 4711 }},
		{one, func(o *govultr.InstanceCreateReq) { o.OsID = 0 }},
		{one, func(o *govultr.InstanceCreateReq) { o.SnapshotID = nowhere }},
		{"Invalid UUID format.", func(o *govultr.InstanceCreateReq) { o.OsID, o.SnapshotID = 0, "5c35fb3a74873" }},
		{"Invalid snapshot.", func(o *govultr.InstanceCreateReq) { o.OsID, o.SnapshotID = 0, nowhere }},
		{"Invalid SSH key.", func(o *govultr.InstanceCreateReq) { o.SSHKeys = []string{nowhere} }},
		{"user_data must be base64 encoded.", func(o *govultr.InstanceCreateReq) { o.UserData = "#cloud-config" }},
		{"Plan is not available in the selected region.", func(o *govultr.InstanceCreateReq) { o.Plan, o.Region = "vc2-1c-0.5gb", "fra" }},
	} {
		spoilt := order("echora-1")
		wrong.spoil(spoilt)
		_, _, err := c.Instance.Create(ctx, spoilt)
		refused(t, err, http.StatusBadRequest, wrong.words)
	}
	s.Change("account", map[string]any{"machine_limit": 0})
	_, _, err := c.Instance.Create(ctx, order("echora-1"))
	refused(t, err, http.StatusBadRequest, "Server add failed: You have reached the maximum number of active virtual machines for this account.")
	_, _, err = c.SSHKey.Create(ctx, &govultr.SSHKeyReq{Name: "two", SSHKey: "no key"})
	refused(t, err, http.StatusBadRequest, "Invalid SSH key")
	if lines := s.Ledger().Lines; len(lines) != 0 {
		t.Errorf("refused orders made %+v", lines)
	}
}

func TestAnInstanceThatIsNotReadyIsNeitherKeptNorTakenAway(t *testing.T) {
	s, c := start(t, sim.Options{Speed: 100})
	c.SetRateLimit(time.Millisecond)
	s.Fault(sim.Fault{Fault: "never", What: "install"})
	made := must[*govultr.Instance](t)(c.Instance.Create(ctx, order("echora-1")))
	_, _, err := c.Snapshot.Create(ctx, &govultr.SnapshotReq{InstanceID: made.ID})
	refused(t, err, http.StatusBadRequest, "Server is not active.")
	until(t, s, c, made.ID, func(i *govultr.Instance) bool { return i.ServerStatus == "locked" })
	gaveUp(t, c.Instance.Delete(ctx, made.ID), "Server is currently locked")
	if tries := s.Count(http.MethodDelete, "/v2/instances/"); tries != 4 {
		t.Errorf("it tried %d times", tries)
	}
	if left := s.Left(); !slices.Equal(left, []string{"machine echora-1"}) {
		t.Errorf("left are %q", left)
	}
}

// gaveUp says that the client tried again as often as it does, and tells the last reply.
func gaveUp(t *testing.T, err error, words string) {
	t.Helper()
	if err == nil || !strings.Contains(err.Error(), "gave up after 4 attempts") || !strings.Contains(err.Error(), words) {
		t.Errorf("the client says %v", err)
	}
}

func TestBurstsOfErrorsAreSurvivedAndLongOnesTold(t *testing.T) {
	s, c := start(t, sim.Options{})
	c.SetRateLimit(time.Millisecond)
	for error, words := range map[string]string{
		"broken": "Internal server error.", "unavailable": "Service unavailable.", "too_many": "Rate limit exceeded.",
	} {
		calls := &sim.Calls{Path: "/v2/account", Times: 3}
		s.Fault(sim.Fault{Fault: "error", Error: error, Calls: calls})
		must[*govultr.Account](t)(c.Account.Get(ctx))
		calls.Times = 4
		s.Fault(sim.Fault{Fault: "error", Error: error, Calls: calls})
		_, _, err := c.Account.Get(ctx)
		gaveUp(t, err, words)
	}
	if asked := s.Count(http.MethodGet, "/v2/account"); asked != 3*(4+4) {
		t.Errorf("it asked %d times", asked)
	}
}

func TestAClientThatWaitsGetsThroughTheLimit(t *testing.T) {
	// A window is over before the client asks again, which it does after a third of a second at the soonest.
	s, c := start(t, sim.Options{Requests: 2, Speed: 4})
	s.Until("the limit is reached and left behind", func() bool {
		must[*govultr.Account](t)(c.Account.Get(ctx))
		return s.Answered(http.StatusTooManyRequests) > 0
	})
}

func TestAReplyThatIsCutIsAnErrorAlthoughTheInstanceWasMade(t *testing.T) {
	s, c := start(t, sim.Options{})
	s.Fault(sim.Fault{Fault: "cut", Calls: &sim.Calls{Method: http.MethodPost, Path: "/v2/instances"}})
	if _, _, err := c.Instance.Create(ctx, order("echora-1")); err == nil || !strings.Contains(err.Error(), "unexpected EOF") {
		t.Errorf("the client says %v", err)
	}
	if left := s.Left(); !slices.Equal(left, []string{"machine echora-1"}) {
		t.Errorf("left are %q", left)
	}
	if found := listed[govultr.Instance](t)(c.Instance.List(ctx, &govultr.ListOptions{Label: "echora-1"})); len(found) != 1 {
		t.Errorf("by its label there are %+v", found)
	}
}

func TestASnapshotThatFailsAndAnInstanceThatVanishesAreNotFound(t *testing.T) {
	s, c := start(t, sim.Options{})
	instance := rent(t, s, c, order("echora-1"))
	s.Fault(sim.Fault{Fault: "fails", What: "snapshot"})
	image := must[*govultr.Snapshot](t)(c.Snapshot.Create(ctx, &govultr.SnapshotReq{InstanceID: instance.ID}))
	var err error
	s.Until("the snapshot is gone", func() bool {
		_, _, err = c.Snapshot.Get(ctx, image.ID)
		return err != nil
	})
	refused(t, err, http.StatusNotFound, "Not found")
	s.Fault(sim.Fault{Fault: "vanish", Kind: "machine", Calls: &sim.Calls{Method: http.MethodGet}})
	_, _, err = c.Instance.Get(ctx, instance.ID)
	refused(t, err, http.StatusNotFound, "invalid instance ID")
	if left := s.Left(); len(left) != 0 {
		t.Errorf("left are %q", left)
	}
}

func TestASnapshotThatTakesLongIsPendingAllTheWhile(t *testing.T) {
	s, c := start(t, sim.Options{})
	instance := rent(t, s, c, order("echora-1"))
	s.Fault(sim.Fault{Fault: "longer", What: "snapshot", Factor: 1e6})
	image := must[*govultr.Snapshot](t)(c.Snapshot.Create(ctx, &govultr.SnapshotReq{InstanceID: instance.ID, Description: "late"}))
	s.Fault(sim.Fault{Fault: "slow", Milliseconds: 50, Calls: &sim.Calls{Path: "/v2/snapshots"}})
	if found := must[*govultr.Snapshot](t)(c.Snapshot.Get(ctx, image.ID)); found.Status != "pending" {
		t.Errorf("it is %s", found.Status)
	}
	done(t, c.Instance.Delete(ctx, instance.ID))
	// What the plugin leaves when its patience ends.
	if left := s.Left(); !slices.Equal(left, []string{"snapshot late"}) {
		t.Errorf("left are %q", left)
	}
}
