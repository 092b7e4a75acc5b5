package vultr

import (
	"fmt"
	"slices"
	"testing"

	"echora.example/clients/sim"
	"github.com/vultr/govultr/v3"
)

func TestPagesHoldEverythingOnce(t *testing.T) {
	s, c := start(t, sim.Options{})
	var made []string
	for n := range 7 {
		label := fmt.Sprintf("echora-%d", n)
		wanted := order(label)
		wanted.Tags = []string{"echora-images"}
		must[*govultr.Instance](t)(c.Instance.Create(ctx, wanted))
		made = append(made, label)
	}
	var found []string
	options, pages, last := &govultr.ListOptions{PerPage: 3, Tag: "echora-images"}, 0, ""
	for {
		instances, meta, _, err := c.Instance.List(ctx, options)
		done(t, err)
		for _, instance := range instances {
			found = append(found, instance.Label)
		}
		pages++
		if meta.Total != 7 || (meta.Links.Prev == "") != (pages == 1) {
			t.Errorf("page %d: %d in all, links %+v", pages, meta.Total, meta.Links)
		}
		if options.Cursor = meta.Links.Next; options.Cursor == "" {
			last = meta.Links.Prev
			break
		}
	}
	if pages != 3 || !slices.Equal(found, made) {
		t.Errorf("%d pages with %q", pages, found)
	}
	options.Cursor = last
	back, _, _, err := c.Instance.List(ctx, options)
	done(t, err)
	if len(back) != 3 || back[0].Label != "echora-3" {
		t.Errorf("the page before the last is %+v", back)
	}
	if others := listed[govultr.Instance](t)(c.Instance.List(ctx, &govultr.ListOptions{Tag: "another"})); len(others) != 0 {
		t.Errorf("with another tag: %+v", others)
	}
	if left := s.Left(); len(left) != 7 {
		t.Errorf("left are %q", left)
	}
}

func TestTheCatalogueFitsTogether(t *testing.T) {
	_, c := start(t, sim.Options{})
	regions := map[string]bool{}
	for _, region := range listed[govultr.Region](t)(c.Region.List(ctx, nil)) {
		regions[region.ID] = true
	}
	if !regions["ewr"] || !regions["fra"] {
		t.Errorf("the regions are %v", regions)
	}
	plans := listed[govultr.Plan](t)(c.Plan.List(ctx, "", nil))
	for _, plan := range plans {
		for _, region := range plan.Locations {
			if !regions[region] {
				t.Errorf("%s is offered in %s, which is none", plan.ID, region)
			}
		}
		if plan.MonthlyCost <= 0 || plan.Disk <= 0 || plan.RAM <= 0 {
			t.Errorf("%+v", plan)
		}
	}
	fast := listed[govultr.Plan](t)(c.Plan.List(ctx, "vhf", nil))
	if len(fast) == 0 || len(fast) >= len(plans) || fast[0].Type != "vhf" {
		t.Errorf("of one type there are %+v", fast)
	}
	here := must[*govultr.PlanAvailability](t)(c.Region.Availability(ctx, "ewr", ""))
	there := must[*govultr.PlanAvailability](t)(c.Region.Availability(ctx, "fra", "vc2"))
	small := "vc2-1c-0.5gb"
	if !slices.Contains(here.AvailablePlans, small) || slices.Contains(there.AvailablePlans, small) ||
		!slices.Contains(there.AvailablePlans, "vc2-1c-1gb") || slices.Contains(there.AvailablePlans, "vhf-1c-1gb") {
		t.Errorf("here %q, there %q", here.AvailablePlans, there.AvailablePlans)
	}
	names := map[int]string{}
	for _, os := range listed[govultr.OS](t)(c.OS.List(ctx, nil)) {
		names[os.ID] = os.Name
	}
	if names[2284] != "Ubuntu 24.04 LTS x64" || names[debian] != "Debian 13 x64 (trixie)" {
		t.Errorf("the systems are %v", names)
	}
	if account := must[*govultr.Account](t)(c.Account.Get(ctx)); !slices.Contains(account.ACL, "provisioning") || account.Email == "" {
		t.Errorf("%+v", account)
	}
}

// What is left of the calls: looking at and renaming what there is.
func TestEverythingCanBeLookedAtAndNamed(t *testing.T) {
	s, c := start(t, sim.Options{})
	instance := rent(t, s, c, order("echora-1"))
	renamed := must[*govultr.Instance](t)(c.Instance.Update(ctx, instance.ID, &govultr.InstanceUpdateReq{Label: "echora-2", Tags: []string{"a", "b"}}))
	if renamed.Label != "echora-2" || !slices.Equal(renamed.Tags, []string{"a", "b"}) {
		t.Errorf("renamed it is %+v", renamed)
	}
	for options, count := range map[govultr.ListOptions]int{
		{Tag: "b"}: 1, {Tag: "c"}: 0, {Label: "echora-1"}: 0, {MainIP: instance.MainIP}: 1, {MainIP: "192.0.2.1"}: 0, {Region: "fra"}: 0,
	} {
		if found := listed[govultr.Instance](t)(c.Instance.List(ctx, &options)); len(found) != count {
			t.Errorf("by %+v there are %+v", options, found)
		}
	}
	image := snapshot(t, s, c, instance.ID, "image")
	for description, count := range map[string]int{"": 1, "image": 1, "other": 0} {
		found := listed[govultr.Snapshot](t)(c.Snapshot.List(ctx, &govultr.ListOptions{Description: description}))
		if len(found) != count || (count == 1 && found[0].ID != image.ID) {
			t.Errorf("the snapshots called %q are %+v", description, found)
		}
	}
	key := must[*govultr.SSHKey](t)(c.SSHKey.Create(ctx, &govultr.SSHKeyReq{Name: "mine", SSHKey: publicKey}))
	done(t, c.SSHKey.Update(ctx, key.ID, &govultr.SSHKeyReq{Name: "yours"}))
	if found := must[*govultr.SSHKey](t)(c.SSHKey.Get(ctx, key.ID)); found.Name != "yours" || found.SSHKey != publicKey {
		t.Errorf("the key is %+v", found)
	}
	if keys := listed[govultr.SSHKey](t)(c.SSHKey.List(ctx, nil)); len(keys) != 1 || keys[0].ID != key.ID {
		t.Errorf("the keys are %+v", keys)
	}
}
