// Package digitalocean plays with godo, DigitalOcean's own client, what its Packer plugin does and what our tools need.
package digitalocean

import (
	"context"
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"testing"

	"echora.example/clients/sim"
	"github.com/digitalocean/godo"
	"golang.org/x/oauth2"
)

const publicKey = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIEtleSBvZiBhIHRlc3Q= test"

var ctx = context.Background()

func client(t *testing.T, s *sim.Simulator, token string, options ...godo.ClientOpt) *godo.Client {
	t.Helper()
	source := oauth2.StaticTokenSource(&oauth2.Token{AccessToken: token})
	c, err := godo.New(oauth2.NewClient(ctx, source), append(options, godo.SetBaseURL(s.URL+"/"))...)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func start(t *testing.T, options sim.Options) (*sim.Simulator, *godo.Client) {
	t.Helper()
	s := sim.Start(t, "digitalocean", options)
	return s, client(t, s, sim.Token)
}

// must gives the value of a call that has to go well.
func must[T any](t *testing.T) func(T, *godo.Response, error) T {
	return func(value T, _ *godo.Response, err error) T {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		return value
	}
}

func done(t *testing.T, _ *godo.Response, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func order(name string) *godo.DropletCreateRequest {
	return &godo.DropletCreateRequest{
		Name: name, Region: "nyc3", Size: "s-1vcpu-1gb", IPv6: true, Tags: []string{"echora-images"},
		Image: godo.DropletCreateImage{Slug: "debian-13-x64"},
	}
}

// rent makes a droplet and waits until it runs.
func rent(t *testing.T, s *sim.Simulator, c *godo.Client, order *godo.DropletCreateRequest) *godo.Droplet {
	t.Helper()
	droplet := must[*godo.Droplet](t)(c.Droplets.Create(ctx, order))
	if droplet.Status != "new" || !droplet.Locked {
		t.Errorf("a new droplet is %s, locked: %t", droplet.Status, droplet.Locked)
	}
	return until(t, s, c, droplet.ID, "active")
}

func until(t *testing.T, s *sim.Simulator, c *godo.Client, id int, status string) *godo.Droplet {
	t.Helper()
	var droplet *godo.Droplet
	s.Until("the droplet is "+status, func() bool {
		droplet = must[*godo.Droplet](t)(c.Droplets.Get(ctx, id))
		return droplet.Status == status && !droplet.Locked
	})
	return droplet
}

func snapshot(t *testing.T, s *sim.Simulator, c *godo.Client, droplet int, name string) godo.Image {
	t.Helper()
	action := must[*godo.Action](t)(c.DropletActions.Snapshot(ctx, droplet, name))
	if action.Status != godo.ActionInProgress || action.Type != "snapshot" || action.CompletedAt != nil {
		t.Errorf("a snapshot begins as %+v", action)
	}
	s.Until("the snapshot is done", func() bool {
		action = must[*godo.Action](t)(c.DropletActions.Get(ctx, droplet, action.ID))
		return action.Status == godo.ActionCompleted
	})
	if action.CompletedAt == nil {
		t.Errorf("a snapshot ends as %+v", action)
	}
	images := must[[]godo.Image](t)(c.Droplets.Snapshots(ctx, droplet, nil))
	if len(images) != 1 || images[0].Name != name {
		t.Fatalf("the droplet's snapshots are %+v", images)
	}
	return images[0]
}

func TestABuildLeavesItsSnapshotAndNothingElse(t *testing.T) {
	s, c := start(t, sim.Options{})
	key := must[*godo.Key](t)(c.Keys.Create(ctx, &godo.KeyCreateRequest{Name: "packer", PublicKey: publicKey}))
	if key.PublicKey != publicKey || len(key.Fingerprint) != 47 {
		t.Errorf("the key is %+v", key)
	}
	wanted := order("echora-1")
	wanted.SSHKeys = []godo.DropletCreateSSHKey{{ID: key.ID}}
	wanted.UserData = "#cloud-config\n"
	droplet := rent(t, s, c, wanted)
	if address, err := droplet.PublicIPv4(); err != nil || address != "203.0.113.7" {
		t.Errorf("public IPv4 %q %v", address, err)
	}
	if address, err := droplet.PublicIPv6(); err != nil || address != "2001:db8::7" {
		t.Errorf("public IPv6 %q %v", address, err)
	}
	if droplet.Region.Slug != "nyc3" || droplet.Size.Slug != "s-1vcpu-1gb" || droplet.Image.Slug != "debian-13-x64" ||
		!slices.Equal(droplet.Tags, []string{"echora-images"}) || droplet.Memory != 1024 || droplet.Disk != 25 {
		t.Errorf("the droplet is %+v", droplet)
	}
	must[*godo.Action](t)(c.DropletActions.Shutdown(ctx, droplet.ID))
	if _, _, err := c.DropletActions.Shutdown(ctx, droplet.ID); err == nil {
		t.Error("a second shutdown was taken while the first goes on")
	}
	until(t, s, c, droplet.ID, "off")
	image := snapshot(t, s, c, droplet.ID, "echora-image")
	if image.MinDiskSize != 25 || image.SizeGigaBytes != 1.5 || !slices.Equal(image.Regions, []string{"nyc3"}) {
		t.Errorf("the snapshot is %+v", image)
	}

	resources := &godo.TagResourcesRequest{Resources: []godo.Resource{{ID: strconv.Itoa(image.ID), Type: "image"}}}
	if reply, err := c.Tags.TagResources(ctx, "release", resources); err == nil || reply.StatusCode != http.StatusNotFound {
		t.Errorf("a tag that is not there: %v", err)
	}
	must[*godo.Tag](t)(c.Tags.Create(ctx, &godo.TagCreateRequest{Name: "release"}))
	if reply, err := c.Tags.TagResources(ctx, "release", resources); err != nil {
		t.Fatal(reply, err)
	}
	transfer := must[*godo.Action](t)(c.ImageActions.Transfer(ctx, image.ID, &godo.ActionRequest{"type": "transfer", "region": "ams3"}))
	s.Until("the transfer is done", func() bool {
		transfer = must[*godo.Action](t)(c.ImageActions.Get(ctx, image.ID, transfer.ID))
		return transfer.Status == godo.ActionCompleted
	})
	found := must[*godo.Image](t)(c.Images.GetByID(ctx, image.ID))
	if !slices.Equal(found.Regions, []string{"nyc3", "ams3"}) || !slices.Equal(found.Tags, []string{"release"}) {
		t.Errorf("the snapshot is %+v", found)
	}
	tag := must[*godo.Tag](t)(c.Tags.Get(ctx, "release"))
	if tag.Resources.Count != 1 || tag.Resources.Images.Count != 1 {
		t.Errorf("the tag is %+v", tag.Resources)
	}

	reply, err := c.Droplets.Delete(ctx, droplet.ID)
	done(t, reply, err)
	reply, err = c.Keys.DeleteByID(ctx, key.ID)
	done(t, reply, err)
	if left := s.Left(); !slices.Equal(left, []string{"snapshot echora-image"}) {
		t.Errorf("left are %q", left)
	}
	if _, reply, err := c.Droplets.Get(ctx, droplet.ID); err == nil || reply.StatusCode != http.StatusNotFound {
		t.Errorf("a deleted droplet: %v", err)
	}
	if reply, err := c.Keys.DeleteByID(ctx, key.ID); err == nil || reply.StatusCode != http.StatusNotFound {
		t.Errorf("a deleted key: %v", err)
	}
	reply, err = c.Images.Delete(ctx, image.ID)
	done(t, reply, err)
	if left := s.Left(); len(left) != 0 {
		t.Errorf("left are %q", left)
	}
}

func TestADropletRunsGoesOffAndOnAgain(t *testing.T) {
	s, c := start(t, sim.Options{})
	droplet := rent(t, s, c, order("echora-1"))
	must[*godo.Action](t)(c.DropletActions.PowerOff(ctx, droplet.ID))
	until(t, s, c, droplet.ID, "off")
	if _, _, err := c.DropletActions.PowerOff(ctx, droplet.ID); err == nil {
		t.Error("a droplet that is off was powered off")
	}
	must[*godo.Action](t)(c.DropletActions.PowerOn(ctx, droplet.ID))
	until(t, s, c, droplet.ID, "active")
	actions := must[[]godo.Action](t)(c.Droplets.Actions(ctx, droplet.ID, nil))
	types := []string{}
	for _, action := range actions {
		types = append(types, action.Type)
	}
	if !slices.Equal(types, []string{"create", "power_off", "power_on"}) {
		t.Errorf("its actions are %q", types)
	}
}

func TestADropletComesFromASnapshotInItsRegionOnly(t *testing.T) {
	s, c := start(t, sim.Options{})
	image := snapshot(t, s, c, rent(t, s, c, order("one")).ID, "image")
	wanted := order("two")
	wanted.Image = godo.DropletCreateImage{ID: image.ID}
	if droplet := rent(t, s, c, wanted); droplet.Image.ID != image.ID {
		t.Errorf("it comes from %+v", droplet.Image)
	}
	wanted.Region = "fra1"
	refused(t, c, wanted, "The image you specified is not available in the selected region.")
	wanted.Region, wanted.Size = "nyc3", "s-1vcpu-512mb-10gb"
	refused(t, c, wanted, "The image's minimum disk size is larger than the disk of the size you specified.")
}

func TestPagesHoldEverythingOnce(t *testing.T) {
	s, c := start(t, sim.Options{})
	var made []string
	for n := range 7 {
		name := fmt.Sprintf("echora-%d", n)
		must[*godo.Droplet](t)(c.Droplets.Create(ctx, order(name)))
		made = append(made, name)
	}
	var found []string
	options, pages := &godo.ListOptions{PerPage: 3}, 0
	for {
		droplets, reply, err := c.Droplets.ListByTag(ctx, "echora-images", options)
		if err != nil {
			t.Fatal(err)
		}
		for _, droplet := range droplets {
			found = append(found, droplet.Name)
		}
		pages++
		if reply.Meta.Total != 7 {
			t.Errorf("in all %d", reply.Meta.Total)
		}
		if reply.Links == nil || reply.Links.IsLastPage() {
			break
		}
		page, err := reply.Links.CurrentPage()
		if err != nil {
			t.Fatal(err)
		}
		options.Page = page + 1
	}
	if pages != 3 || !slices.Equal(found, made) {
		t.Errorf("%d pages with %q", pages, found)
	}
	if others := must[[]godo.Droplet](t)(c.Droplets.ListByTag(ctx, "another", nil)); len(others) != 0 {
		t.Errorf("with another tag: %+v", others)
	}
	if left := s.Left(); len(left) != 7 {
		t.Errorf("left are %q", left)
	}
}

func TestTheCatalogueFitsTogether(t *testing.T) {
	_, c := start(t, sim.Options{})
	all := &godo.ListOptions{PerPage: 200}
	regions := must[[]godo.Region](t)(c.Regions.List(ctx, all))
	slugs := map[string]bool{}
	for _, region := range regions {
		slugs[region.Slug] = region.Available
	}
	if !slugs["nyc3"] || slugs["nyc2"] {
		t.Errorf("the regions are %v", slugs)
	}
	for _, size := range must[[]godo.Size](t)(c.Sizes.List(ctx, all)) {
		for _, region := range size.Regions {
			if !slugs[region] {
				t.Errorf("%s is offered in %s, which is none", size.Slug, region)
			}
		}
		if size.PriceHourly <= 0 || size.Disk <= 0 {
			t.Errorf("%+v", size)
		}
	}
	image := must[*godo.Image](t)(c.Images.GetBySlug(ctx, "ubuntu-24-04-x64"))
	if image.Distribution != "Ubuntu" || !image.Public {
		t.Errorf("%+v", image)
	}
	if images := must[[]godo.Image](t)(c.Images.ListUser(ctx, all)); len(images) != 0 {
		t.Errorf("a new account has images: %+v", images)
	}
	if account := must[*godo.Account](t)(c.Account.Get(ctx)); account.Status != "active" || account.DropletLimit != 25 {
		t.Errorf("%+v", account)
	}
}

// What is left of the calls: looking at, renaming and deleting what there is.
func TestEverythingCanBeLookedAtAndTakenAway(t *testing.T) {
	s, c := start(t, sim.Options{})
	droplet := rent(t, s, c, order("echora-1"))
	if droplets := must[[]godo.Droplet](t)(c.Droplets.ListByName(ctx, "echora-1", nil)); len(droplets) != 1 {
		t.Errorf("by its name there are %+v", droplets)
	}
	if droplets := must[[]godo.Droplet](t)(c.Droplets.ListByName(ctx, "echora-2", nil)); len(droplets) != 0 {
		t.Errorf("by another name there are %+v", droplets)
	}
	image := snapshot(t, s, c, droplet.ID, "image")
	id := strconv.Itoa(image.ID)
	if found := must[*godo.Snapshot](t)(c.Snapshots.Get(ctx, id)); found.Name != "image" || found.ResourceID != strconv.Itoa(droplet.ID) {
		t.Errorf("the snapshot is %+v", found)
	}
	if found := must[[]godo.Snapshot](t)(c.Snapshots.ListDroplet(ctx, nil)); len(found) != 1 || found[0].ID != id {
		t.Errorf("the snapshots are %+v", found)
	}
	if found := must[[]godo.Image](t)(c.Images.ListUser(ctx, nil)); len(found) != 1 || found[0].ID != image.ID {
		t.Errorf("the images are %+v", found)
	}
	if renamed := must[*godo.Image](t)(c.Images.Update(ctx, image.ID, &godo.ImageUpdateRequest{Name: "newer"})); renamed.Name != "newer" {
		t.Errorf("renamed it is %+v", renamed)
	}
	must[*godo.Tag](t)(c.Tags.Create(ctx, &godo.TagCreateRequest{Name: "old"}))
	tagged := []godo.Resource{{ID: id, Type: "image"}, {ID: strconv.Itoa(droplet.ID), Type: "droplet"}}
	reply, err := c.Tags.TagResources(ctx, "old", &godo.TagResourcesRequest{Resources: tagged})
	done(t, reply, err)
	if found := must[[]godo.Image](t)(c.Images.ListByTag(ctx, "old", nil)); len(found) != 1 {
		t.Errorf("tagged are %+v", found)
	}
	reply, err = c.Tags.UntagResources(ctx, "old", &godo.UntagResourcesRequest{Resources: tagged})
	done(t, reply, err)
	if found := must[[]godo.Image](t)(c.Images.ListByTag(ctx, "old", nil)); len(found) != 0 {
		t.Errorf("tagged are %+v", found)
	}
	reply, err = c.Tags.Delete(ctx, "old")
	done(t, reply, err)
	if tags := must[[]godo.Tag](t)(c.Tags.List(ctx, nil)); len(tags) != 1 || tags[0].Name != "echora-images" {
		t.Errorf("the tags are %+v", tags)
	}
	transfer := must[*godo.Action](t)(c.ImageActions.Transfer(ctx, image.ID, &godo.ActionRequest{"type": "transfer", "region": "fra1"}))
	if transfer = must[*godo.Action](t)(c.Actions.Get(ctx, transfer.ID)); transfer.ResourceID != image.ID || transfer.Type != "transfer" {
		t.Errorf("the transfer is %+v", transfer)
	}
	if actions := must[[]godo.Action](t)(c.Actions.List(ctx, nil)); len(actions) != 3 || actions[0].ID != transfer.ID {
		t.Errorf("the newest first, the actions are %+v", actions)
	}
	reply, err = c.Snapshots.Delete(ctx, id)
	done(t, reply, err)
	if left := s.Left(); !slices.Equal(left, []string{"machine echora-1"}) {
		t.Errorf("left are %q", left)
	}

	key := must[*godo.Key](t)(c.Keys.Create(ctx, &godo.KeyCreateRequest{Name: "mine", PublicKey: publicKey}))
	if keys := must[[]godo.Key](t)(c.Keys.List(ctx, nil)); len(keys) != 1 || keys[0].ID != key.ID {
		t.Errorf("the keys are %+v", keys)
	}
	if found := must[*godo.Key](t)(c.Keys.GetByFingerprint(ctx, key.Fingerprint)); found.ID != key.ID {
		t.Errorf("the key is %+v", found)
	}
	must[*godo.Balance](t)(c.Balance.Get(ctx))
}
