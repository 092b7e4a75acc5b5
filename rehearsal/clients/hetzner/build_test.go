// Package hetzner plays with hcloud-go, Hetzner's own client, what its Packer plugin does and what our tools need.
package hetzner

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"testing"
	"time"

	"echora.example/clients/sim"
	"github.com/hetznercloud/hcloud-go/v2/hcloud"
)

const publicKey = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIEtleSBvZiBhIHRlc3Q= test"

var (
	ctx    = context.Background()
	labels = map[string]string{"app": "echora", "made-by": "echora-images"}
)

func client(s *sim.Simulator, token string) *hcloud.Client {
	soon := hcloud.ConstantBackoff(time.Millisecond)
	return hcloud.NewClient(hcloud.WithEndpoint(s.URL+"/v1"), hcloud.WithToken(token),
		hcloud.WithPollOpts(hcloud.PollOpts{BackoffFunc: hcloud.ConstantBackoff(5 * time.Millisecond)}),
		hcloud.WithRetryOpts(hcloud.RetryOpts{BackoffFunc: soon, MaxRetries: 5}))
}

func start(t *testing.T, options sim.Options) (*sim.Simulator, *hcloud.Client) {
	t.Helper()
	s := sim.Start(t, "hetzner", options)
	return s, client(s, sim.Token)
}

// must gives the value of a call that has to go well.
func must[T any](t *testing.T) func(T, *hcloud.Response, error) T {
	return func(value T, _ *hcloud.Response, err error) T {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		return value
	}
}

func done(t *testing.T, _ *hcloud.Response, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func wait(t *testing.T, c *hcloud.Client, actions ...*hcloud.Action) {
	t.Helper()
	limited, cancel := context.WithTimeout(ctx, sim.Patience)
	defer cancel()
	if err := c.Action.WaitFor(limited, actions...); err != nil {
		t.Fatal(err)
	}
}

func order(name string) hcloud.ServerCreateOpts {
	return hcloud.ServerCreateOpts{
		Name: name, ServerType: &hcloud.ServerType{Name: "cpx12"}, Image: &hcloud.Image{Name: "debian-13"},
		Location: &hcloud.Location{Name: "hel1"}, Labels: labels,
	}
}

// rent makes a server and waits until it runs.
func rent(t *testing.T, c *hcloud.Client, order hcloud.ServerCreateOpts) *hcloud.Server {
	t.Helper()
	made := must[hcloud.ServerCreateResult](t)(c.Server.Create(ctx, order))
	if made.Server.Status != hcloud.ServerStatusInitializing || made.Action.Status != hcloud.ActionStatusRunning {
		t.Errorf("a new server is %s, its action %s", made.Server.Status, made.Action.Status)
	}
	wait(t, c, append(made.NextActions, made.Action)...)
	return must[*hcloud.Server](t)(c.Server.GetByID(ctx, made.Server.ID))
}

func snapshot(t *testing.T, c *hcloud.Client, server *hcloud.Server, description string) *hcloud.Image {
	t.Helper()
	made := must[hcloud.ServerCreateImageResult](t)(c.Server.CreateImage(ctx, server, &hcloud.ServerCreateImageOpts{
		Type: hcloud.ImageTypeSnapshot, Description: &description, Labels: labels,
	}))
	if made.Image.Status != hcloud.ImageStatusCreating {
		t.Errorf("a snapshot begins as %s", made.Image.Status)
	}
	wait(t, c, made.Action)
	return must[*hcloud.Image](t)(c.Image.GetByID(ctx, made.Image.ID))
}

func until(t *testing.T, s *sim.Simulator, c *hcloud.Client, server *hcloud.Server, status hcloud.ServerStatus) {
	t.Helper()
	s.Until(fmt.Sprintf("the server is %s", status), func() bool {
		found := must[*hcloud.Server](t)(c.Server.GetByID(ctx, server.ID))
		return found.Status == status && !found.Locked
	})
}

func TestABuildLeavesItsSnapshotAndNothingElse(t *testing.T) {
	s, c := start(t, sim.Options{})
	plan := must[*hcloud.ServerType](t)(c.ServerType.GetByName(ctx, "cpx12"))
	of := hcloud.ImageListOpts{Type: []hcloud.ImageType{hcloud.ImageTypeSnapshot}, Architecture: []hcloud.Architecture{plan.Architecture}}
	if images, err := c.Image.AllWithOpts(ctx, of); err != nil || len(images) != 0 {
		t.Fatalf("a new account has snapshots: %v %v", images, err)
	}
	key := must[*hcloud.SSHKey](t)(c.SSHKey.Create(ctx, hcloud.SSHKeyCreateOpts{Name: "packer", PublicKey: publicKey}))
	image := must[*hcloud.Image](t)(c.Image.GetForArchitecture(ctx, "debian-13", plan.Architecture))
	wanted := order("echora-1")
	wanted.Image, wanted.SSHKeys, wanted.UserData = image, []*hcloud.SSHKey{key}, "#cloud-config\n"
	wanted.PublicNet = &hcloud.ServerCreatePublicNet{EnableIPv4: true, EnableIPv6: true}
	made := must[hcloud.ServerCreateResult](t)(c.Server.Create(ctx, wanted))
	server := made.Server
	if server.PublicNet.IPv4.IP.String() != "203.0.113.7" || server.PublicNet.IPv6.Network.String() != "2001:db8::/64" {
		t.Errorf("its addresses are told at once: %+v", server.PublicNet)
	}
	if made.RootPassword != "" || len(made.NextActions) != 1 || made.NextActions[0].Command != "start_server" {
		t.Errorf("the order's result is %+v", made)
	}
	wait(t, c, append(made.NextActions, made.Action)...)
	if actions := must[[]*hcloud.Action](t)(c.Firewall.Action.List(ctx, hcloud.ActionListOpts{Status: []hcloud.ActionStatus{hcloud.ActionStatusRunning}})); len(actions) != 0 {
		t.Errorf("firewalls are being changed: %v", actions)
	}
	until(t, s, c, server, hcloud.ServerStatusRunning)

	shutdown := must[*hcloud.Action](t)(c.Server.Shutdown(ctx, server))
	wait(t, c, shutdown)
	until(t, s, c, server, hcloud.ServerStatusOff)
	made2 := snapshot(t, c, server, "echora-image")
	if made2.Status != hcloud.ImageStatusAvailable || made2.Type != hcloud.ImageTypeSnapshot || made2.Labels["app"] != "echora" ||
		made2.DiskSize != 40 || made2.CreatedFrom.ID != server.ID || made2.OSFlavor != "debian" {
		t.Errorf("the snapshot is %+v", made2)
	}

	deleted := must[*hcloud.ServerDeleteResult](t)(c.Server.DeleteWithResult(ctx, server))
	wait(t, c, deleted.Action)
	reply, err := c.SSHKey.Delete(ctx, key)
	done(t, reply, err)
	if left := s.Left(); !slices.Equal(left, []string{"snapshot echora-image"}) {
		t.Errorf("left are %q", left)
	}
	if gone, _, err := c.Server.GetByID(ctx, server.ID); gone != nil || err != nil {
		t.Errorf("a deleted server: %v %v", gone, err)
	}
	if _, _, err := c.Server.DeleteWithResult(ctx, server); !hcloud.IsError(err, hcloud.ErrorCodeNotFound) {
		t.Errorf("a deleted server was deleted: %v", err)
	}
	if found, err := c.Image.AllWithOpts(ctx, of); err != nil || len(found) != 1 || found[0].ID != made2.ID {
		t.Errorf("the snapshots are %v %v", found, err)
	}
	reply, err = c.Image.Delete(ctx, made2)
	done(t, reply, err)
	if left := s.Left(); len(left) != 0 {
		t.Errorf("left are %q", left)
	}
}

// https://github.com/syself/cluster-api-provider-hetzner/issues/1223
func TestAShutdownEndsWhenItsSignalIsSent(t *testing.T) {
	s, c := start(t, sim.Options{})
	server := rent(t, c, order("echora-1"))
	// A server that does not react.
	s.Fault(sim.Fault{Fault: "never", What: "shutdown"})
	wait(t, c, must[*hcloud.Action](t)(c.Server.Shutdown(ctx, server)))
	if found := must[*hcloud.Server](t)(c.Server.GetByID(ctx, server.ID)); found.Status != hcloud.ServerStatusRunning {
		t.Errorf("it is %s", found.Status)
	}
	wait(t, c, must[*hcloud.Action](t)(c.Server.Poweroff(ctx, server)))
	if found := must[*hcloud.Server](t)(c.Server.GetByID(ctx, server.ID)); found.Status != hcloud.ServerStatusOff {
		t.Errorf("it is %s", found.Status)
	}
}

func TestAServerIsMadeStoppedUpgradedAndStarted(t *testing.T) {
	s, c := start(t, sim.Options{})
	wanted := order("echora-1")
	wanted.ServerType = &hcloud.ServerType{Name: "cx23"}
	wanted.StartAfterCreate = hcloud.Ptr(false)
	made := must[hcloud.ServerCreateResult](t)(c.Server.Create(ctx, wanted))
	if len(made.NextActions) != 0 || made.RootPassword == "" {
		t.Errorf("the order's result is %+v", made)
	}
	wait(t, c, made.Action)
	until(t, s, c, made.Server, hcloud.ServerStatusOff)
	upgrade := hcloud.ServerChangeTypeOpts{ServerType: &hcloud.ServerType{Name: "cx33"}, UpgradeDisk: false}
	wait(t, c, must[*hcloud.Action](t)(c.Server.ChangeType(ctx, made.Server, upgrade)))
	wait(t, c, must[*hcloud.Action](t)(c.Server.Poweron(ctx, made.Server)))
	found := must[*hcloud.Server](t)(c.Server.GetByName(ctx, "echora-1"))
	if found.Status != hcloud.ServerStatusRunning || found.ServerType.Name != "cx33" || found.PrimaryDiskSize != 40 {
		t.Errorf("it is %+v", found)
	}
	upgrade.ServerType = &hcloud.ServerType{Name: "cx23"}
	if _, _, err := c.Server.ChangeType(ctx, found, upgrade); !hcloud.IsError(err, hcloud.ErrorCodeServerNotStopped) {
		t.Errorf("a server that runs was changed: %v", err)
	}
}

func TestOursAreFoundByLabel(t *testing.T) {
	s, c := start(t, sim.Options{})
	s.Change("account", map[string]any{"server_limit": 100})
	for n := range 60 {
		wanted := order(fmt.Sprintf("echora-%d", n))
		if n%2 == 1 {
			wanted.Labels = map[string]string{"app": "another"}
		}
		must[hcloud.ServerCreateResult](t)(c.Server.Create(ctx, wanted))
	}
	ours := hcloud.ServerListOpts{ListOpts: hcloud.ListOpts{LabelSelector: "app=echora,made-by"}}
	found, err := c.Server.AllWithOpts(ctx, ours)
	if err != nil || len(found) != 30 {
		t.Errorf("%d servers are ours: %v", len(found), err)
	}
	all, err := c.Server.All(ctx)
	if err != nil || len(all) != 60 {
		t.Errorf("%d servers: %v", len(all), err)
	}
	if pages := s.Count("GET", "/v1/servers?"); pages != 4 {
		t.Errorf("two of 25 and two of 50 made %d pages", pages)
	}
}

func TestEverythingCanBeLookedAtAndTakenAway(t *testing.T) {
	s, c := start(t, sim.Options{})
	server := rent(t, c, order("echora-1"))
	image := snapshot(t, c, server, "image")
	renamed := must[*hcloud.Image](t)(c.Image.Update(ctx, image, hcloud.ImageUpdateOpts{Description: hcloud.Ptr("newer"), Labels: map[string]string{"app": "other"}}))
	if renamed.Description != "newer" || renamed.Labels["app"] != "other" {
		t.Errorf("the snapshot is %+v", renamed)
	}
	labelled := must[*hcloud.Server](t)(c.Server.Update(ctx, server, hcloud.ServerUpdateOpts{Labels: map[string]string{"build": "1"}}))
	if labelled.Labels["build"] != "1" || labelled.Labels["app"] != "" {
		t.Errorf("the server is %+v", labelled)
	}
	key := must[*hcloud.SSHKey](t)(c.SSHKey.Create(ctx, hcloud.SSHKeyCreateOpts{Name: "mine", PublicKey: publicKey, Labels: labels}))
	if found := must[*hcloud.SSHKey](t)(c.SSHKey.GetByName(ctx, "mine")); found.ID != key.ID {
		t.Errorf("the key is %+v", found)
	}
	if found := must[*hcloud.SSHKey](t)(c.SSHKey.GetByID(ctx, key.ID)); found.Fingerprint != key.Fingerprint {
		t.Errorf("the key is %+v", found)
	}
	if action := must[*hcloud.Action](t)(c.Action.GetByID(ctx, must[*hcloud.Action](t)(c.Server.Poweroff(ctx, server)).ID)); action.Command != "stop_server" {
		t.Errorf("the action is %+v", action)
	}
	locations, err := c.Location.All(ctx)
	if err != nil || len(locations) != 6 {
		t.Errorf("locations %v %v", locations, err)
	}
	if location := must[*hcloud.Location](t)(c.Location.GetByID(ctx, 3)); location.Name != "hel1" {
		t.Errorf("%+v", location)
	}
	if plan := must[*hcloud.ServerType](t)(c.ServerType.GetByID(ctx, 109)); plan.Name != "cpx12" || len(plan.Pricings) != 4 {
		t.Errorf("%+v", plan)
	}
	if firewall, _, err := c.Firewall.GetByName(ctx, "mine"); firewall != nil || err != nil {
		t.Errorf("%v %v", firewall, err)
	}
	if address, _, err := c.PrimaryIP.GetByName(ctx, "mine"); address != nil || err != nil {
		t.Errorf("%v %v", address, err)
	}
	if left := s.Left(); !slices.Equal(left, []string{"machine echora-1", "snapshot image", "key mine"}) {
		t.Errorf("left are %q", left)
	}
}

func TestErrorsAreTheProvidersOwn(t *testing.T) {
	s, c := start(t, sim.Options{})
	_, err := client(s, "wrong").Server.All(ctx)
	if !hcloud.IsError(err, hcloud.ErrorCodeUnauthorized) {
		t.Errorf("a wrong token: %v", err)
	}
	var told hcloud.Error
	_, _, err = client(s, sim.ReadOnly).Server.Create(ctx, order("echora-1"))
	if !errors.As(err, &told) || told.Code != "token_readonly" {
		t.Errorf("a token that may look only: %v", err)
	}
	for field, spoil := range map[string]func(*hcloud.ServerCreateOpts){
		"location":    func(o *hcloud.ServerCreateOpts) { o.Location.Name = "mars1" },
		"server_type": func(o *hcloud.ServerCreateOpts) { o.ServerType.Name = "cpx0" },
		"image":       func(o *hcloud.ServerCreateOpts) { o.Image.Name = "debian-3" },
		"ssh_keys":    func(o *hcloud.ServerCreateOpts) { o.SSHKeys = []*hcloud.SSHKey{{ID: 4711}} },
		"name":        func(o *hcloud.ServerCreateOpts) { o.Name = "under_score" },
	} {
		spoilt := order("echora-1")
		spoil(&spoilt)
		_, _, err := c.Server.Create(ctx, spoilt)
		details, ok := hcloud.ErrorDetailsInvalidInput{}, false
		if errors.As(err, &told) {
			details, ok = told.Details.(hcloud.ErrorDetailsInvalidInput)
		}
		if !ok || told.Code != hcloud.ErrorCodeInvalidInput || len(details.Fields) != 1 || details.Fields[0].Name != field {
			t.Errorf("a bad %s: %v %+v", field, err, details)
		}
	}
	elsewhere := order("echora-1")
	elsewhere.Location.Name = "ash"
	if _, _, err := c.Server.Create(ctx, elsewhere); !hcloud.IsError(err, hcloud.ErrorCodeResourceUnavailable) {
		t.Errorf("a type that is not there: %v", err)
	}
	arm := order("echora-1")
	arm.ServerType.Name = "cax11"
	if server := rent(t, c, arm); server.Image.Architecture != hcloud.ArchitectureARM {
		t.Errorf("a name stands for the image of the server's architecture: %+v", server.Image)
	}
	if _, _, err := c.Server.Create(ctx, order("echora-1")); !hcloud.IsError(err, hcloud.ErrorCodeUniquenessError) {
		t.Errorf("a name that is used: %v", err)
	}
	s.Change("account", map[string]any{"server_limit": 1})
	if _, _, err := c.Server.Create(ctx, order("echora-2")); !hcloud.IsError(err, hcloud.ErrorCodeResourceLimitExceeded) {
		t.Errorf("more than the limit: %v", err)
	}
	if left := s.Left(); !slices.Equal(left, []string{"machine echora-1"}) {
		t.Errorf("left are %q", left)
	}
}

func TestALockedServerTakesNoSecondAction(t *testing.T) {
	s, c := start(t, sim.Options{})
	server := rent(t, c, order("echora-1"))
	s.Fault(sim.Fault{Fault: "never", What: "snapshot"})
	must[hcloud.ServerCreateImageResult](t)(c.Server.CreateImage(ctx, server, nil))
	if _, _, err := c.Server.Poweroff(ctx, server); !hcloud.IsError(err, hcloud.ErrorCodeLocked) {
		t.Errorf("a locked server was powered off: %v", err)
	}
}
