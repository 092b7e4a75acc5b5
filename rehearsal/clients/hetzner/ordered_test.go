//go:build inside

package hetzner

import (
	"fmt"
	"os"
	"testing"

	"echora.example/clients/sim"
	"github.com/hetznercloud/hcloud-go/v2/hcloud"
)

// What a buyer does: a machine with a key and user-data. The API tells its IPv6 network, not its address.
func TestOrdered(t *testing.T) {
	wanted := sim.Ordered(t)
	c := hcloud.NewClient(hcloud.WithEndpoint(os.Getenv("HCLOUD_ENDPOINT")), hcloud.WithToken(os.Getenv("HCLOUD_TOKEN")))
	key := must[*hcloud.SSHKey](t)(c.SSHKey.Create(ctx, hcloud.SSHKeyCreateOpts{Name: wanted.Name, PublicKey: wanted.Key}))
	options := order(wanted.Name)
	options.SSHKeys, options.UserData = []*hcloud.SSHKey{key}, wanted.UserData
	server := must[hcloud.ServerCreateResult](t)(c.Server.Create(ctx, options)).Server
	wanted.Running(t, func() bool {
		server = must[*hcloud.Server](t)(c.Server.GetByID(ctx, server.ID))
		return server.Status == hcloud.ServerStatusRunning
	})
	location := must[*hcloud.Location](t)(c.Location.GetByName(ctx, options.Location.Name))
	wanted.Tell(t, sim.Told{
		ID: fmt.Sprint(server.ID), Region: string(location.NetworkZone), IPv4: server.PublicNet.IPv4.IP.String(),
	})
}
