package digitalocean

import (
	"context"
	"errors"
	"io"
	"net/http"
	"slices"
	"testing"
	"time"

	"echora.example/clients/sim"
	"github.com/digitalocean/godo"
)

func patient(t *testing.T, s *sim.Simulator) *godo.Client {
	wait := 0.001
	return client(t, s, sim.Token, godo.WithRetryAndBackoffs(godo.RetryConfig{RetryMax: 4, RetryWaitMin: &wait, RetryWaitMax: &wait}))
}

func TestABurstOfErrorsIsToldAndOutwaited(t *testing.T) {
	for error, status := range map[string]int{"broken": 500, "unavailable": 503, "too_many": 429} {
		// A client waits as long as it is told, a whole second at least.
		s, c := start(t, sim.Options{Speed: 100_000})
		s.Fault(sim.Fault{Fault: "error", Error: error, Calls: sim.On("POST", "/v2/droplets", 2)})
		_, _, err := c.Droplets.Create(ctx, order("echora-1"))
		if told, _ := failure(t, err); told != status {
			t.Errorf("%s is told as %d", error, told)
		}
		if left := s.Left(); len(left) != 0 {
			t.Errorf("%s: a failed call made %q", error, left)
		}
		// One of the burst is left.
		must[*godo.Droplet](t)(patient(t, s).Droplets.Create(ctx, order("echora-2")))
		if left := s.Left(); !slices.Equal(left, []string{"machine echora-2"}) {
			t.Errorf("%s: left are %q", error, left)
		}
		if made := s.Count("POST", "/v2/droplets"); made != 3 {
			t.Errorf("%s: %d calls", error, made)
		}
	}
}

// The most expensive of all faults: the client knows no id, and the droplet is there.
func TestACutReplyHidesADropletThatIsThere(t *testing.T) {
	s, c := start(t, sim.Options{})
	s.Fault(sim.Fault{Fault: "cut", Calls: sim.On("POST", "/v2/droplets", 1)})
	_, _, err := c.Droplets.Create(ctx, order("echora-1"))
	if !errors.Is(err, io.ErrUnexpectedEOF) {
		t.Errorf("a cut reply is told as %v", err)
	}
	if left := s.Left(); !slices.Equal(left, []string{"machine echora-1"}) {
		t.Errorf("left are %q", left)
	}
	found := must[[]godo.Droplet](t)(c.Droplets.ListByTag(ctx, "echora-images", nil))
	if len(found) != 1 {
		t.Fatalf("by its tag there are %+v", found)
	}
	reply, err := c.Droplets.Delete(ctx, found[0].ID)
	done(t, reply, err)
	if left := s.Left(); len(left) != 0 {
		t.Errorf("left are %q", left)
	}
}

func TestASnapshotThatFailsEndsInErrorAndLeavesNothing(t *testing.T) {
	s, c := start(t, sim.Options{})
	droplet := rent(t, s, c, order("echora-1"))
	s.Fault(sim.Fault{Fault: "fails", What: "snapshot"})
	action := must[*godo.Action](t)(c.DropletActions.Snapshot(ctx, droplet.ID, "image"))
	s.Until("the snapshot has failed", func() bool {
		return must[*godo.Action](t)(c.DropletActions.Get(ctx, droplet.ID, action.ID)).Status == "errored"
	})
	if left := s.Left(); !slices.Equal(left, []string{"machine echora-1"}) {
		t.Errorf("left are %q", left)
	}
	// The next one goes well.
	snapshot(t, s, c, droplet.ID, "image")
}

func TestADropletThatNeverStartsCostsAllTheSame(t *testing.T) {
	s, c := start(t, sim.Options{})
	s.Fault(sim.Fault{Fault: "never", What: "boot"})
	stuck := must[*godo.Droplet](t)(c.Droplets.Create(ctx, order("stuck")))
	s.Heal()
	rent(t, s, c, order("another"))
	if found := must[*godo.Droplet](t)(c.Droplets.Get(ctx, stuck.ID)); found.Status != "new" || len(found.Networks.V4) != 0 {
		t.Errorf("it is %+v", found)
	}
	for _, line := range s.Ledger().Lines {
		if line.Hourly != 0.00893 || line.Gone != nil {
			t.Errorf("%+v", line)
		}
	}
	reply, err := c.Droplets.Delete(ctx, stuck.ID)
	done(t, reply, err)
}

func TestADropletStaysAsLongAsItsSnapshotIsBeingMade(t *testing.T) {
	s, c := start(t, sim.Options{})
	droplet := rent(t, s, c, order("echora-1"))
	s.Fault(sim.Fault{Fault: "longer", What: "snapshot", Factor: 20})
	action := must[*godo.Action](t)(c.DropletActions.Snapshot(ctx, droplet.ID, "image"))
	_, err := c.Droplets.Delete(ctx, droplet.ID)
	if status, message := failure(t, err); status != 422 || message != "Droplet already has a pending event." {
		t.Errorf("%d %q", status, message)
	}
	s.Until("the snapshot is done", func() bool {
		return must[*godo.Action](t)(c.DropletActions.Get(ctx, droplet.ID, action.ID)).Status == godo.ActionCompleted
	})
	reply, err := c.Droplets.Delete(ctx, droplet.ID)
	done(t, reply, err)
	if left := s.Left(); !slices.Equal(left, []string{"snapshot image"}) {
		t.Errorf("left are %q", left)
	}
}

func TestASnapshotTakesAnHourOfTheProvidersTime(t *testing.T) {
	s, c := start(t, sim.Options{Speed: 36000})
	droplet := rent(t, s, c, order("echora-1"))
	s.Fault(sim.Fault{Fault: "longer", What: "snapshot", Factor: 40})
	snapshot(t, s, c, droplet.ID, "image")
	actions := must[[]godo.Action](t)(c.Droplets.Actions(ctx, droplet.ID, nil))
	last := actions[len(actions)-1]
	if took := last.CompletedAt.Sub(last.StartedAt.Time); took < time.Hour || took > time.Hour+2*time.Second {
		t.Errorf("it took %s", took)
	}
}

func TestADropletDisappears(t *testing.T) {
	s, c := start(t, sim.Options{})
	droplet := rent(t, s, c, order("echora-1"))
	must[*godo.Action](t)(c.DropletActions.Snapshot(ctx, droplet.ID, "image"))
	s.Fault(sim.Fault{Fault: "vanish", Kind: "machine", Calls: sim.On("GET", "/v2/droplets", 1)})
	_, _, err := c.Droplets.Get(ctx, droplet.ID)
	if status, _ := failure(t, err); status != http.StatusNotFound {
		t.Errorf("a droplet that has gone: %d", status)
	}
	if left := s.Left(); !slices.Equal(left, []string{"snapshot image"}) {
		t.Errorf("left are %q", left)
	}
}

func TestASlowReplyComesTooLateForAClientThatDoesNotWait(t *testing.T) {
	s, c := start(t, sim.Options{})
	s.Fault(sim.Fault{Fault: "slow", Milliseconds: 60_000, Calls: sim.On("POST", "/v2/droplets", 1)})
	limited, cancel := context.WithTimeout(ctx, 100*time.Millisecond)
	defer cancel()
	if _, _, err := c.Droplets.Create(limited, order("echora-1")); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("a slow reply is told as %v", err)
	}
	if left := s.Left(); !slices.Equal(left, []string{"machine echora-1"}) {
		t.Errorf("left are %q", left)
	}
}
