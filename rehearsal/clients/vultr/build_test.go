// Package vultr plays with govultr, Vultr's own client, what its Packer plugin does and what our tools need.
package vultr

import (
	"context"
	"encoding/base64"
	"net/http"
	"slices"
	"testing"

	"echora.example/clients/sim"
	"github.com/vultr/govultr/v3"
	"golang.org/x/oauth2"
)

const (
	publicKey = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIEtleSBvZiBhIHRlc3Q= test"
	debian    = 2625
)

var ctx = context.Background()

func client(t *testing.T, s *sim.Simulator, token string) *govultr.Client {
	t.Helper()
	source := oauth2.StaticTokenSource(&oauth2.Token{AccessToken: token})
	c := govultr.NewClient(oauth2.NewClient(ctx, source))
	if err := c.SetBaseURL(s.URL); err != nil {
		t.Fatal(err)
	}
	return c
}

func start(t *testing.T, options sim.Options) (*sim.Simulator, *govultr.Client) {
	t.Helper()
	s := sim.Start(t, "vultr", options)
	return s, client(t, s, sim.Token)
}

// must gives the value of a call that has to go well.
func must[T any](t *testing.T) func(T, *http.Response, error) T {
	return func(value T, _ *http.Response, err error) T {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		return value
	}
}

// listed is the same for a list.
func listed[T any](t *testing.T) func([]T, *govultr.Meta, *http.Response, error) []T {
	return func(values []T, meta *govultr.Meta, _ *http.Response, err error) []T {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		if meta.Total != len(values) || meta.Links.Next != "" || meta.Links.Prev != "" {
			t.Errorf("one page has %d of %+v", len(values), meta)
		}
		return values
	}
}

func order(label string) *govultr.InstanceCreateReq {
	no := govultr.BoolToBoolPtr(false)
	return &govultr.InstanceCreateReq{
		Region: "ewr", Plan: "vc2-1c-1gb", OsID: debian, Label: label,
		EnableIPv6: govultr.BoolToBoolPtr(true), EnableVPC: no, EnableVPC2: no, ActivationEmail: no,
	}
}

// rent makes an instance and waits as the plugin does: until it is active and has power.
func rent(t *testing.T, s *sim.Simulator, c *govultr.Client, order *govultr.InstanceCreateReq) *govultr.Instance {
	t.Helper()
	made := must[*govultr.Instance](t)(c.Instance.Create(ctx, order))
	if made.Status != "pending" || made.MainIP != "0.0.0.0" || made.Disk != 0 || made.DefaultPassword == "" {
		t.Errorf("a new instance is %+v", made)
	}
	return until(t, s, c, made.ID, func(i *govultr.Instance) bool {
		return i.Status == "active" && i.PowerStatus == "running"
	})
}

func until(t *testing.T, s *sim.Simulator, c *govultr.Client, id string, holds func(*govultr.Instance) bool) *govultr.Instance {
	t.Helper()
	var instance *govultr.Instance
	s.Until("the instance is as wanted", func() bool {
		instance = must[*govultr.Instance](t)(c.Instance.Get(ctx, id))
		return holds(instance)
	})
	return instance
}

func snapshot(t *testing.T, s *sim.Simulator, c *govultr.Client, instance, description string) *govultr.Snapshot {
	t.Helper()
	wanted := &govultr.SnapshotReq{InstanceID: instance, Description: description}
	made := must[*govultr.Snapshot](t)(c.Snapshot.Create(ctx, wanted))
	if made.Status != "pending" || made.Size != 0 || made.Description != description {
		t.Errorf("a snapshot begins as %+v", made)
	}
	s.Until("the snapshot is complete", func() bool {
		made = must[*govultr.Snapshot](t)(c.Snapshot.Get(ctx, made.ID))
		return made.Status == "complete"
	})
	return made
}

func done(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func TestABuildLeavesItsSnapshotAndNothingElse(t *testing.T) {
	s, c := start(t, sim.Options{})
	key := must[*govultr.SSHKey](t)(c.SSHKey.Create(ctx, &govultr.SSHKeyReq{Name: "packer", SSHKey: publicKey}))
	wanted := order("echora-1")
	wanted.SSHKeys, wanted.Tags = []string{key.ID}, []string{"echora-images"}
	wanted.UserData = base64.StdEncoding.EncodeToString([]byte("#cloud-config\n"))
	instance := rent(t, s, c, wanted)
	if instance.MainIP != "203.0.113.7" || instance.V6MainIP != "2001:db8::7" || instance.V6NetworkSize != 64 {
		t.Errorf("its addresses are %q %q/%d", instance.MainIP, instance.V6MainIP, instance.V6NetworkSize)
	}
	if instance.Region != "ewr" || instance.Plan != "vc2-1c-1gb" || instance.OsID != debian || instance.Disk != 25 ||
		instance.RAM != 1024 || instance.Label != "echora-1" || !slices.Equal(instance.Tags, wanted.Tags) {
		t.Errorf("the instance is %+v", instance)
	}
	if instance.DefaultPassword != "" {
		t.Error("the password is told more than once")
	}
	if data := must[*govultr.UserData](t)(c.Instance.GetUserData(ctx, instance.ID)); data.Data != wanted.UserData {
		t.Errorf("its user-data are %q", data.Data)
	}
	image := snapshot(t, s, c, instance.ID, "echora-image")
	if image.OsID != debian || image.Size != 1_500_000_000 || image.CompressedSize == 0 {
		t.Errorf("the snapshot is %+v", image)
	}
	done(t, c.Instance.Delete(ctx, instance.ID))
	done(t, c.SSHKey.Delete(ctx, key.ID))
	if left := s.Left(); !slices.Equal(left, []string{"snapshot echora-image"}) {
		t.Errorf("left are %q", left)
	}
	_, _, err := c.Instance.Get(ctx, instance.ID)
	refused(t, err, http.StatusNotFound, "invalid instance ID")
	refused(t, c.SSHKey.Delete(ctx, key.ID), http.StatusNotFound, "Not found")
	done(t, c.Snapshot.Delete(ctx, image.ID))
	refused(t, c.Snapshot.Delete(ctx, image.ID), http.StatusNotFound, "Not found")
	if left := s.Left(); len(left) != 0 {
		t.Errorf("left are %q", left)
	}
}

// The plugin notes an instance for its clean-up when it has booted, not when it was made.
func TestAnInstanceThatNeverBootsIsLeftByThePluginAndFoundByItsLabel(t *testing.T) {
	s, c := start(t, sim.Options{})
	s.Fault(sim.Fault{Fault: "never", What: "boot"})
	key := must[*govultr.SSHKey](t)(c.SSHKey.Create(ctx, &govultr.SSHKeyReq{Name: "packer", SSHKey: publicKey}))
	made := must[*govultr.Instance](t)(c.Instance.Create(ctx, order("echora-1")))
	must[*govultr.Instance](t)(c.Instance.Create(ctx, order("somebody-else")))
	// So far it gets; then the plugin's patience ends, and it takes away what it has noted.
	until(t, s, c, made.ID, func(i *govultr.Instance) bool { return i.ServerStatus == "installingbooting" })
	done(t, c.SSHKey.Delete(ctx, key.ID))
	if left := s.Left(); !slices.Equal(left, []string{"machine echora-1", "machine somebody-else"}) {
		t.Errorf("left are %q", left)
	}
	for _, line := range s.Ledger().Lines {
		if line.Kind == "machine" && line.Hourly < 0.005 {
			t.Errorf("it costs %f an hour", line.Hourly)
		}
	}
	found := listed[govultr.Instance](t)(c.Instance.List(ctx, &govultr.ListOptions{Label: "echora-1"}))
	if len(found) != 1 || found[0].ID != made.ID || found[0].Status != "pending" {
		t.Fatalf("by its label there are %+v", found)
	}
	done(t, c.Instance.Delete(ctx, found[0].ID))
	if left := s.Left(); !slices.Equal(left, []string{"machine somebody-else"}) {
		t.Errorf("left are %q", left)
	}
}

func TestAnInstanceGoesThroughItsStates(t *testing.T) {
	s, c := start(t, sim.Options{})
	for _, at := range []struct{ next, state string }{
		{"lock", "pending running none"},
		{"install", "pending running locked"},
		{"boot", "pending running installingbooting"},
		{"settle", "active running installingbooting"},
		{"nothing", "active running ok"},
	} {
		if at.next != "nothing" {
			s.Fault(sim.Fault{Fault: "never", What: at.next})
		}
		made := must[*govultr.Instance](t)(c.Instance.Create(ctx, order("before "+at.next)))
		until(t, s, c, made.ID, func(i *govultr.Instance) bool {
			return i.Status+" "+i.PowerStatus+" "+i.ServerStatus == at.state
		})
		s.Heal()
	}
}

func TestAnInstanceGoesOffAndOnAgain(t *testing.T) {
	s, c := start(t, sim.Options{})
	made := rent(t, s, c, order("echora-1"))
	done(t, c.Instance.Halt(ctx, made.ID))
	until(t, s, c, made.ID, func(i *govultr.Instance) bool { return i.PowerStatus == "stopped" && i.Status == "active" })
	done(t, c.Instance.Start(ctx, made.ID))
	until(t, s, c, made.ID, func(i *govultr.Instance) bool { return i.PowerStatus == "running" })
}

func TestAnInstanceComesFromASnapshotThatFits(t *testing.T) {
	s, c := start(t, sim.Options{})
	image := snapshot(t, s, c, rent(t, s, c, order("one")).ID, "image")
	wanted := order("two")
	wanted.OsID, wanted.SnapshotID = 0, image.ID
	if instance := rent(t, s, c, wanted); instance.OsID != 164 {
		t.Errorf("its OS is %d", instance.OsID)
	}
	wanted.Plan = "marketplace-2c-2gb"
	_, _, err := c.Instance.Create(ctx, wanted)
	refused(t, err, http.StatusBadRequest, "The snapshot's disk is larger than the plan's.")
}
