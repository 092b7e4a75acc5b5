// Package linode plays with linodego, Linode's own client, what its Packer plugin does and what our tools need.
package linode

import (
	"context"
	"encoding/base64"
	"fmt"
	"net/http"
	"slices"
	"testing"
	"time"

	"echora.example/clients/sim"
	"github.com/linode/linodego"
)

const publicKey = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIEtleSBvZiBhIHRlc3Q= test"

var (
	ctx     = context.Background()
	seconds = int(sim.Patience.Seconds())
)

// client is led to the simulator as the plugin is: by the environment.
func client(t *testing.T, s *sim.Simulator, token string) *linodego.Client {
	t.Helper()
	t.Setenv("LINODE_URL", s.URL)
	c := linodego.NewClient(nil)
	c.SetToken(token)
	c.SetPollDelay(5 * time.Millisecond)
	c.SetRetryWaitTime(time.Millisecond)
	return &c
}

func start(t *testing.T, options sim.Options) (*sim.Simulator, *linodego.Client) {
	t.Helper()
	s := sim.Start(t, "linode", options)
	return s, client(t, s, sim.Token)
}

// must gives the value of a call that has to go well.
func must[T any](t *testing.T) func(T, error) T {
	return func(value T, err error) T {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		return value
	}
}

func done(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func order(label string) linodego.InstanceCreateOptions {
	return linodego.InstanceCreateOptions{
		Region: "us-ord", Type: "g6-nanode-1", Label: label, Image: "linode/debian13",
		AuthorizedKeys: []string{publicKey}, Tags: []string{"echora-images"},
	}
}

// rent makes an instance and waits until it runs.
func rent(t *testing.T, c *linodego.Client, order linodego.InstanceCreateOptions) *linodego.Instance {
	t.Helper()
	made := must[*linodego.Instance](t)(c.CreateInstance(ctx, order))
	if made.Status != linodego.InstanceProvisioning || len(made.IPv4) != 1 || made.IPv4[0].String() != "203.0.113.7" {
		t.Errorf("a new instance is %+v", made)
	}
	return must[*linodego.Instance](t)(c.WaitForInstanceStatus(ctx, made.ID, linodego.InstanceRunning, seconds))
}

// imaged gives the disk that the plugin takes: the first that is not for swapping.
func imaged(t *testing.T, c *linodego.Client, instance int) linodego.InstanceDisk {
	t.Helper()
	disks := must[[]linodego.InstanceDisk](t)(c.ListInstanceDisks(ctx, instance, linodego.NewListOptions(1, "")))
	at := slices.IndexFunc(disks, func(disk linodego.InstanceDisk) bool { return disk.Filesystem != "swap" })
	if len(disks) != 2 || disks[at].Status != linodego.DiskReady || disks[at].Size != 25600-512 {
		t.Fatalf("the disks are %+v", disks)
	}
	return disks[at]
}

// capture makes an image of an instance's disk, as the plugin waits for it: by the event that was not there before.
func capture(t *testing.T, c *linodego.Client, instance int, options linodego.ImageCreateOptions) (*linodego.Image, *linodego.Event, error) {
	t.Helper()
	options.DiskID = imaged(t, c, instance).ID
	poller := must[*linodego.EventPoller](t)(c.NewEventPoller(ctx, instance, linodego.EntityLinode, linodego.ActionDiskImagize))
	image := must[*linodego.Image](t)(c.CreateImage(ctx, options))
	if image.Status != linodego.ImageStatusCreating || image.IsPublic {
		t.Errorf("an image begins as %+v", image)
	}
	event, err := poller.WaitForFinished(ctx, seconds)
	return image, event, err
}

func TestABuildLeavesItsImageAndNothingElse(t *testing.T) {
	s, c := start(t, sim.Options{})
	wanted := order("echora-1")
	wanted.Metadata = &linodego.InstanceMetadataOptions{UserData: base64.StdEncoding.EncodeToString([]byte("#cloud-config\n"))}
	instance := rent(t, c, wanted)
	if instance.Region != "us-ord" || instance.Type != "g6-nanode-1" || instance.Image != "linode/debian13" || instance.Specs.Disk != 25600 ||
		instance.IPv6 != "2001:db8::7/128" || !instance.HasUserData || !slices.Equal(instance.Tags, wanted.Tags) ||
		instance.Created == nil || time.Since(*instance.Created) > 24*time.Hour {
		t.Errorf("the instance is %+v", instance)
	}
	done(t, c.ShutdownInstance(ctx, instance.ID))
	must[*linodego.Instance](t)(c.WaitForInstanceStatus(ctx, instance.ID, linodego.InstanceOffline, seconds))
	made, event, err := capture(t, c, instance.ID, linodego.ImageCreateOptions{Label: "echora-image", Description: "of a test", CloudInit: true})
	done(t, err)
	if event.PercentComplete != 100 || event.Entity.Label != "echora-1" || event.SecondaryEntity.ID != made.ID {
		t.Errorf("the event is %+v", event)
	}
	// The slash in its id goes over the wire as %2F.
	image := must[*linodego.Image](t)(c.GetImage(ctx, made.ID))
	if image.Status != linodego.ImageStatusAvailable || image.Size != 1500 || image.Description != "of a test" ||
		!slices.Equal(image.Capabilities, []string{"cloud-init"}) || len(image.Regions) != 1 {
		t.Errorf("the image is %+v", image)
	}
	done(t, c.DeleteInstance(ctx, instance.ID))
	if left := s.Left(); !slices.Equal(left, []string{"snapshot echora-image"}) {
		t.Errorf("left are %q", left)
	}
	_, err = c.GetInstance(ctx, instance.ID)
	refused(t, err, http.StatusNotFound, "Not found")
	_, err = c.ListInstanceDisks(ctx, instance.ID, nil)
	refused(t, err, http.StatusNotFound, "Not found")
	done(t, c.DeleteImage(ctx, image.ID))
	refused(t, c.DeleteImage(ctx, image.ID), http.StatusNotFound, "Not found")
	if left := s.Left(); len(left) != 0 {
		t.Errorf("left are %q", left)
	}
}

// Unlike others it keeps the id from the first reply on, so nothing is left when the wait fails.
func TestAnInstanceThatNeverBootsIsTakenAwayByItsId(t *testing.T) {
	s, c := start(t, sim.Options{})
	s.Fault(sim.Fault{Fault: "never", What: "boot"})
	made := must[*linodego.Instance](t)(c.CreateInstance(ctx, order("echora-1")))
	must[*linodego.Instance](t)(c.WaitForInstanceStatus(ctx, made.ID, linodego.InstanceBooting, seconds))
	soon, cancel := context.WithTimeout(ctx, 50*time.Millisecond)
	defer cancel()
	if _, err := c.WaitForInstanceStatus(soon, made.ID, linodego.InstanceRunning, seconds); err == nil {
		t.Error("it runs")
	}
	for _, line := range s.Ledger().Lines {
		if line.Hourly != 0.0075 {
			t.Errorf("it costs %f an hour", line.Hourly)
		}
	}
	done(t, c.DeleteInstance(ctx, made.ID))
	if left := s.Left(); len(left) != 0 {
		t.Errorf("left are %q", left)
	}
}

func TestAnEventGoesThroughItsStates(t *testing.T) {
	s, c := start(t, sim.Options{})
	instance := rent(t, c, order("echora-1"))
	for _, at := range []struct {
		next    string
		status  linodego.EventStatus
		percent int
	}{
		{"snapshot-start", linodego.EventScheduled, 0},
		{"snapshot-progress", linodego.EventStarted, 1},
		{"snapshot", linodego.EventStarted, 50},
	} {
		// What comes later than the next state is held back with it.
		for _, later := range []string{at.next, "snapshot"} {
			s.Fault(sim.Fault{Fault: "never", What: later})
		}
		made := must[*linodego.Image](t)(c.CreateImage(ctx, linodego.ImageCreateOptions{DiskID: imaged(t, c, instance.ID).ID, Label: at.next}))
		s.Until("the event is as wanted", func() bool {
			events := must[[]linodego.Event](t)(c.ListEvents(ctx, linodego.NewListOptions(1, `{"action": "disk_imagize", "+order_by": "id", "+order": "desc"}`)))
			event := must[*linodego.Event](t)(c.GetEvent(ctx, events[0].ID))
			return event.SecondaryEntity.ID == made.ID && event.Status == at.status && event.PercentComplete == at.percent
		})
		s.Heal()
	}
}

func TestAnInstanceGoesOffAndOnAgainAndTellsItByEvents(t *testing.T) {
	_, c := start(t, sim.Options{})
	wanted, no := order("echora-1"), false
	wanted.Booted = &no
	made := must[*linodego.Instance](t)(c.CreateInstance(ctx, wanted))
	must[*linodego.Instance](t)(c.WaitForInstanceStatus(ctx, made.ID, linodego.InstanceOffline, seconds))
	done(t, c.BootInstance(ctx, made.ID, 0))
	must[*linodego.Instance](t)(c.WaitForInstanceStatus(ctx, made.ID, linodego.InstanceRunning, seconds))
	refused(t, c.BootInstance(ctx, made.ID, 0), http.StatusBadRequest, "Linode is already booted")
	done(t, c.ShutdownInstance(ctx, made.ID))
	must[*linodego.Instance](t)(c.WaitForInstanceStatus(ctx, made.ID, linodego.InstanceOffline, seconds))
	refused(t, c.ShutdownInstance(ctx, made.ID), http.StatusBadRequest, "Linode is not running")
	must[*linodego.Event](t)(c.WaitForEventFinished(ctx, made.ID, linodego.EntityLinode, linodego.ActionLinodeShutdown, *made.Created, seconds))
	actions := []linodego.EventAction{}
	for _, event := range must[[]linodego.Event](t)(c.ListEvents(ctx, nil)) {
		if event.Status != linodego.EventFinished || event.Entity.Label != "echora-1" {
			t.Errorf("an event is %+v", event)
		}
		actions = append(actions, event.Action)
	}
	if !slices.Equal(actions, []linodego.EventAction{linodego.ActionLinodeShutdown, linodego.ActionLinodeBoot, linodego.ActionLinodeCreate}) {
		t.Errorf("the newest first, its events are %q", actions)
	}
}

func TestAnInstanceComesFromAnImageThatCanBeInSeveralRegions(t *testing.T) {
	_, c := start(t, sim.Options{})
	image, _, err := capture(t, c, rent(t, c, order("one1")).ID, linodego.ImageCreateOptions{Label: "image"})
	done(t, err)
	wanted := order("two2")
	wanted.Image = image.ID
	if instance := rent(t, c, wanted); instance.Image != image.ID {
		t.Errorf("it comes from %q", instance.Image)
	}
	asked := must[*linodego.Image](t)(c.ReplicateImage(ctx, image.ID, linodego.ImageReplicateOptions{Regions: []string{"us-ord", "nl-ams"}}))
	if len(asked.Regions) != 2 || asked.Regions[0].Status != linodego.ImageRegionStatusAvailable || asked.Regions[1].Status != linodego.ImageRegionStatusPendingReplication {
		t.Errorf("on its way it is in %+v", asked.Regions)
	}
	there := must[*linodego.Image](t)(c.WaitForImageRegionStatus(ctx, image.ID, "nl-ams", linodego.ImageRegionStatusAvailable))
	if there.TotalSize != 2*there.Size {
		t.Errorf("in two regions it takes %d, in one %d", there.TotalSize, there.Size)
	}
	_, err = c.ReplicateImage(ctx, image.ID, linodego.ImageReplicateOptions{Regions: []string{"mars"}})
	refused(t, err, http.StatusBadRequest, "[regions] regions is not valid")
}

func TestWhatIsTakenAwayOnTheWayIsNotMissed(t *testing.T) {
	s, c := start(t, sim.Options{})
	finished := func(instance int, action linodego.EventAction) {
		s.Until("the event is over", func() bool {
			filter := fmt.Sprintf(`{"action": %q, "entity.id": %d}`, action, instance)
			events := must[[]linodego.Event](t)(c.ListEvents(ctx, linodego.NewListOptions(1, filter)))
			return len(events) == 1 && events[0].Status == linodego.EventFinished
		})
	}
	made := must[*linodego.Instance](t)(c.CreateInstance(ctx, order("echora-1")))
	done(t, c.DeleteInstance(ctx, made.ID))
	finished(made.ID, linodego.ActionLinodeCreate)
	made = rent(t, c, order("echora-2"))
	image := must[*linodego.Image](t)(c.CreateImage(ctx, linodego.ImageCreateOptions{DiskID: imaged(t, c, made.ID).ID, Label: "image"}))
	if len(image.Regions) != 1 || image.Regions[0].Status != linodego.ImageRegionStatusCreating {
		t.Errorf("on its way it is in %+v", image.Regions)
	}
	done(t, c.DeleteInstance(ctx, made.ID))
	finished(made.ID, linodego.ActionDiskImagize)
	there := must[*linodego.Image](t)(c.GetImage(ctx, image.ID))
	if there.Status != linodego.ImageStatusAvailable || there.Regions[0].Region != "us-ord" || there.Regions[0].Status != linodego.ImageRegionStatusAvailable {
		t.Errorf("it is %+v", there)
	}
}
