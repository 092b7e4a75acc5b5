package linode

import (
	"fmt"
	"net/http"
	"slices"
	"testing"

	"echora.example/clients/sim"
	"github.com/linode/linodego"
)

func TestPagesHoldEverythingOnce(t *testing.T) {
	s, c := start(t, sim.Options{})
	var made []string
	for n := range 30 {
		label := fmt.Sprintf("key-%d", n)
		must[*linodego.SSHKey](t)(c.CreateSSHKey(ctx, linodego.SSHKeyCreateOptions{Label: label, SSHKey: publicKey}))
		made = append(made, label)
	}
	var found []string
	options := &linodego.ListOptions{PageSize: 25}
	for _, key := range must[[]linodego.SSHKey](t)(c.ListSSHKeys(ctx, options)) {
		found = append(found, key.Label)
	}
	if !slices.Equal(found, made) || options.Pages != 2 || options.Results != 30 {
		t.Errorf("%d pages of %d with %q", options.Pages, options.Results, found)
	}
	if asked := s.Count(http.MethodGet, "/v4/profile/sshkeys"); asked != 2 {
		t.Errorf("%d requests", asked)
	}
	second := &linodego.ListOptions{PageOptions: &linodego.PageOptions{Page: 2}, PageSize: 25}
	if keys := must[[]linodego.SSHKey](t)(c.ListSSHKeys(ctx, second)); len(keys) != 5 || keys[0].Label != "key-25" {
		t.Errorf("the second page has %+v", keys)
	}
	for _, size := range []int{24, 501} {
		_, err := c.ListSSHKeys(ctx, &linodego.ListOptions{PageSize: size})
		refused(t, err, http.StatusBadRequest, "[page_size] page_size is not valid")
	}
}

func TestFiltersAreHeeded(t *testing.T) {
	s, c := start(t, sim.Options{})
	for _, label := range []string{"echora-a", "echora-b", "other"} {
		wanted := order(label)
		if label == "other" {
			wanted.Tags = nil
		}
		must[*linodego.Instance](t)(c.CreateInstance(ctx, wanted))
	}
	for _, try := range []struct {
		filter linodego.Filter
		labels []string
	}{
		{linodego.Filter{}, []string{"echora-a", "echora-b", "other"}},
		{linodego.Filter{Children: []linodego.FilterNode{&linodego.Comp{Column: "label", Operator: linodego.Eq, Value: "other"}}}, []string{"other"}},
		{linodego.Filter{Children: []linodego.FilterNode{&linodego.Comp{Column: "tags", Operator: linodego.Contains, Value: "echora-images"}}}, []string{"echora-a", "echora-b"}},
		{linodego.Filter{OrderBy: "label", Order: linodego.Descending}, []string{"other", "echora-b", "echora-a"}},
		{linodego.Filter{Operator: "+or", Children: []linodego.FilterNode{
			&linodego.Comp{Column: "label", Operator: linodego.Eq, Value: "other"}, &linodego.Comp{Column: "label", Operator: linodego.Contains, Value: "-a"},
		}}, []string{"echora-a", "other"}},
	} {
		filter, err := try.filter.MarshalJSON()
		done(t, err)
		labels := []string{}
		for _, instance := range must[[]linodego.Instance](t)(c.ListInstances(ctx, linodego.NewListOptions(0, string(filter)))) {
			labels = append(labels, instance.Label)
		}
		if !slices.Equal(labels, try.labels) {
			t.Errorf("%s finds %q", filter, labels)
		}
	}
	_, err := c.ListInstances(ctx, linodego.NewListOptions(0, `{"label": {"+like": "x"}}`))
	refused(t, err, http.StatusBadRequest, "Invalid JSON")
	if left := s.Left(); len(left) != 3 {
		t.Errorf("left are %q", left)
	}
}

func TestTheCatalogueFitsTogether(t *testing.T) {
	_, c := start(t, sim.Options{})
	for _, region := range must[[]linodego.Region](t)(c.ListRegions(ctx, nil)) {
		if region.Status != "ok" || !slices.Contains(region.Capabilities, linodego.CapabilityMetadata) {
			t.Errorf("%+v", region)
		}
	}
	if region := must[*linodego.Region](t)(c.GetRegion(ctx, "us-ord")); region.Label != "Chicago, IL" || region.Country != "us" {
		t.Errorf("%+v", region)
	}
	for _, plan := range must[[]linodego.LinodeType](t)(c.ListTypes(ctx, nil)) {
		if plan.Price.Hourly <= 0 || plan.Disk < 25600 || plan.Memory < 1024 {
			t.Errorf("%+v", plan)
		}
	}
	if plan := must[*linodego.LinodeType](t)(c.GetType(ctx, "g6-nanode-1")); plan.Class != linodego.ClassNanode || plan.Disk != 25600 {
		t.Errorf("%+v", plan)
	}
	ids := []string{}
	for _, image := range must[[]linodego.Image](t)(c.ListImages(ctx, linodego.NewListOptions(0, `{"is_public": true, "vendor": "Debian", "+order_by": "id"}`))) {
		ids = append(ids, image.ID)
	}
	if !slices.Equal(ids, []string{"linode/debian12", "linode/debian13"}) {
		t.Errorf("the images are %q", ids)
	}
	if account := must[*linodego.Account](t)(c.GetAccount(ctx)); account.Email == "" || account.ActiveSince == nil {
		t.Errorf("%+v", account)
	}
	if profile := must[*linodego.Profile](t)(c.GetProfile(ctx)); profile.Username != "echora" || profile.Restricted {
		t.Errorf("%+v", profile)
	}
}

// What is left of the calls: looking at, renaming and deleting what there is.
func TestEverythingCanBeLookedAtNamedAndTakenAway(t *testing.T) {
	s, c := start(t, sim.Options{})
	instance := rent(t, c, order("echora-1"))
	tags := []string{"one", "two"}
	renamed := must[*linodego.Instance](t)(c.UpdateInstance(ctx, instance.ID, linodego.InstanceUpdateOptions{Label: "echora-2", Tags: &tags}))
	if renamed.Label != "echora-2" || !slices.Equal(renamed.Tags, tags) {
		t.Errorf("renamed it is %+v", renamed)
	}
	image, _, err := capture(t, c, instance.ID, linodego.ImageCreateOptions{Label: "image"})
	done(t, err)
	text := "newer"
	named := must[*linodego.Image](t)(c.UpdateImage(ctx, image.ID, linodego.ImageUpdateOptions{Label: "other", Description: &text, Tags: &tags}))
	if named.Label != "other" || named.Description != text || !slices.Equal(named.Tags, tags) {
		t.Errorf("renamed it is %+v", named)
	}
	mine := must[[]linodego.Image](t)(c.ListImages(ctx, linodego.NewListOptions(0, `{"is_public": false}`)))
	if len(mine) != 1 || mine[0].ID != image.ID {
		t.Errorf("the account's images are %+v", mine)
	}
	key := must[*linodego.SSHKey](t)(c.CreateSSHKey(ctx, linodego.SSHKeyCreateOptions{Label: "mine", SSHKey: publicKey}))
	if found := must[*linodego.SSHKey](t)(c.GetSSHKey(ctx, key.ID)); found.SSHKey != publicKey {
		t.Errorf("the key is %+v", found)
	}
	done(t, c.DeleteSSHKey(ctx, key.ID))
	refused(t, c.DeleteSSHKey(ctx, key.ID), http.StatusNotFound, "Not found")
	if left := s.Left(); !slices.Equal(left, []string{"machine echora-1", "snapshot image"}) {
		t.Errorf("left are %q", left)
	}
}
