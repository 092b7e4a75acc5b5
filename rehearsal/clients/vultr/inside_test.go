//go:build inside

package vultr

import (
	"os"
	"testing"
	"time"

	"echora.example/clients/sim"
	"github.com/vultr/govultr/v3"
	"golang.org/x/oauth2"
)

// The client as it comes, without an address: hosts file and certificates lead it to the simulator.
func TestInside(t *testing.T) {
	source := oauth2.StaticTokenSource(&oauth2.Token{AccessToken: os.Getenv("VULTR_API_KEY")})
	c := govultr.NewClient(oauth2.NewClient(ctx, source))
	key := must[*govultr.SSHKey](t)(c.SSHKey.Create(ctx, &govultr.SSHKeyReq{Name: "packer", SSHKey: publicKey}))
	instance := must[*govultr.Instance](t)(c.Instance.Create(ctx, order("echora-1")))
	end := time.Now().Add(sim.Patience)
	for instance.Status != "active" && time.Now().Before(end) {
		instance = must[*govultr.Instance](t)(c.Instance.Get(ctx, instance.ID))
	}
	image := must[*govultr.Snapshot](t)(c.Snapshot.Create(ctx, &govultr.SnapshotReq{InstanceID: instance.ID, Description: "image"}))
	for image.Status != "complete" && time.Now().Before(end) {
		image = must[*govultr.Snapshot](t)(c.Snapshot.Get(ctx, image.ID))
	}
	done(t, c.Instance.Delete(ctx, instance.ID))
	done(t, c.SSHKey.Delete(ctx, key.ID))
}
