package hetzner

import (
	"context"
	"errors"
	"io"
	"net/http"
	"slices"
	"testing"
	"time"

	"echora.example/clients/sim"
	"github.com/hetznercloud/hcloud-go/v2/hcloud"
)

// The client asks again by itself only where the API says that it should.
func TestABurstOfErrorsIsTold(t *testing.T) {
	for error, expected := range map[string]struct {
		code   hcloud.ErrorCode
		status int
	}{
		"broken":      {"server_error", http.StatusInternalServerError},
		"unavailable": {"unavailable", http.StatusServiceUnavailable},
	} {
		s, c := start(t, sim.Options{})
		s.Fault(sim.Fault{Fault: "error", Error: error, Calls: sim.On("POST", "/v1/servers", 1)})
		_, reply, err := c.Server.Create(ctx, order("echora-1"))
		if !hcloud.IsError(err, expected.code) || reply.StatusCode != expected.status {
			t.Errorf("%s is told as %v", error, err)
		}
		if left := s.Left(); len(left) != 0 {
			t.Errorf("%s: a failed call made %q", error, left)
		}
		rent(t, c, order("echora-1"))
	}
}

func TestTooManyRequestsAreOutwaited(t *testing.T) {
	s, c := start(t, sim.Options{})
	s.Fault(sim.Fault{Fault: "error", Error: "too_many", Calls: sim.On("POST", "/v1/servers", 2)})
	rent(t, c, order("echora-1"))
	if made := s.Count("POST", "/v1/servers"); made != 3 {
		t.Errorf("%d calls", made)
	}
	if left := s.Left(); !slices.Equal(left, []string{"machine echora-1"}) {
		t.Errorf("left are %q", left)
	}
}

func TestTheLimitIsToldByHeaders(t *testing.T) {
	s := sim.Start(t, "hetzner", sim.Options{Requests: 2, Speed: 0.001})
	c := hcloud.NewClient(hcloud.WithEndpoint(s.URL+"/v1"), hcloud.WithToken(sim.Token), hcloud.WithRetryOpts(hcloud.RetryOpts{MaxRetries: 0}))
	for remaining := 1; remaining >= 0; remaining-- {
		_, reply, err := c.Location.List(ctx, hcloud.LocationListOpts{})
		done(t, reply, err)
		if limit := reply.Meta.Ratelimit; limit.Limit != 2 || limit.Remaining != remaining || !limit.Reset.After(time.Now().Add(-time.Minute)) {
			t.Errorf("with %d remaining: %+v", remaining, limit)
		}
	}
	_, reply, err := c.Location.List(ctx, hcloud.LocationListOpts{})
	if !hcloud.IsError(err, hcloud.ErrorCodeRateLimitExceeded) || reply.StatusCode != http.StatusTooManyRequests {
		t.Errorf("one more is told as %v", err)
	}
}

// The most expensive of all faults: the client knows no id, and the server is there.
func TestACutReplyHidesAServerThatIsThere(t *testing.T) {
	s, c := start(t, sim.Options{})
	s.Fault(sim.Fault{Fault: "cut", Calls: sim.On("POST", "/v1/servers", 1)})
	if _, _, err := c.Server.Create(ctx, order("echora-1")); !errors.Is(err, io.ErrUnexpectedEOF) {
		t.Errorf("a cut reply is told as %v", err)
	}
	found, err := c.Server.AllWithOpts(ctx, hcloud.ServerListOpts{ListOpts: hcloud.ListOpts{LabelSelector: "made-by=echora-images"}})
	if err != nil || len(found) != 1 {
		t.Fatalf("by its label there are %v %v", found, err)
	}
	wait(t, c, must[*hcloud.ServerDeleteResult](t)(c.Server.DeleteWithResult(ctx, found[0])).Action)
	if left := s.Left(); len(left) != 0 {
		t.Errorf("left are %q", left)
	}
}

func TestAnActionThatFailsIsToldByItsError(t *testing.T) {
	s, c := start(t, sim.Options{})
	server := rent(t, c, order("echora-1"))
	s.Fault(sim.Fault{Fault: "fails", What: "snapshot"})
	made := must[hcloud.ServerCreateImageResult](t)(c.Server.CreateImage(ctx, server, nil))
	limited, cancel := context.WithTimeout(ctx, sim.Patience)
	defer cancel()
	var told hcloud.ActionError
	if err := c.Action.WaitFor(limited, made.Action); !errors.As(err, &told) || told.Code != "action_failed" {
		t.Errorf("a snapshot that fails is told as %v", err)
	}
	if image, _, err := c.Image.GetByID(ctx, made.Image.ID); image != nil || err != nil {
		t.Errorf("it is there: %v %v", image, err)
	}
	// The next one goes well.
	snapshot(t, c, server, "image")
	if left := s.Left(); !slices.Equal(left, []string{"machine echora-1", "snapshot image"}) {
		t.Errorf("left are %q", left)
	}
}

func TestAServerThatNeverStartsCostsAllTheSame(t *testing.T) {
	s, c := start(t, sim.Options{})
	s.Fault(sim.Fault{Fault: "never", What: "boot"})
	stuck := must[hcloud.ServerCreateResult](t)(c.Server.Create(ctx, order("stuck")))
	s.Heal()
	rent(t, c, order("another"))
	if found := must[*hcloud.Server](t)(c.Server.GetByID(ctx, stuck.Server.ID)); found.Status != hcloud.ServerStatusStarting {
		t.Errorf("it is %s", found.Status)
	}
	for _, line := range s.Ledger().Lines {
		if line.Hourly != 0.0104 || line.Gone != nil {
			t.Errorf("%+v", line)
		}
	}
	wait(t, c, must[*hcloud.ServerDeleteResult](t)(c.Server.DeleteWithResult(ctx, stuck.Server)).Action)
}

func TestASnapshotTakesAnHourOfTheProvidersTime(t *testing.T) {
	s, c := start(t, sim.Options{Speed: 36000})
	server := rent(t, c, order("echora-1"))
	s.Fault(sim.Fault{Fault: "longer", What: "snapshot", Factor: 60})
	made := must[hcloud.ServerCreateImageResult](t)(c.Server.CreateImage(ctx, server, nil))
	wait(t, c, made.Action)
	action := must[*hcloud.Action](t)(c.Action.GetByID(ctx, made.Action.ID))
	if took := action.Finished.Sub(action.Started); took < time.Hour || took > time.Hour+2*time.Second {
		t.Errorf("it took %s", took)
	}
}

func TestAServerDisappears(t *testing.T) {
	s, c := start(t, sim.Options{})
	server := rent(t, c, order("echora-1"))
	snapshot(t, c, server, "image")
	s.Fault(sim.Fault{Fault: "vanish", Kind: "machine", Calls: sim.On("GET", "/v1/servers", 1)})
	if found, _, err := c.Server.GetByID(ctx, server.ID); found != nil || err != nil {
		t.Errorf("a server that has gone: %v %v", found, err)
	}
	if left := s.Left(); !slices.Equal(left, []string{"snapshot image"}) {
		t.Errorf("left are %q", left)
	}
}

func TestASlowReplyComesTooLateForAClientThatDoesNotWait(t *testing.T) {
	s, c := start(t, sim.Options{})
	s.Fault(sim.Fault{Fault: "slow", Milliseconds: 60_000, Calls: sim.On("POST", "/v1/servers", 1)})
	limited, cancel := context.WithTimeout(ctx, 100*time.Millisecond)
	defer cancel()
	if _, _, err := c.Server.Create(limited, order("echora-1")); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("a slow reply is told as %v", err)
	}
	if left := s.Left(); !slices.Equal(left, []string{"machine echora-1"}) {
		t.Errorf("left are %q", left)
	}
}
