//go:build inside

package digitalocean

import (
	"fmt"
	"os"
	"testing"

	"echora.example/clients/sim"
	"github.com/digitalocean/godo"
	"golang.org/x/oauth2"
)

// What a buyer does: a machine with a key and user-data.
func TestOrdered(t *testing.T) {
	wanted := sim.Ordered(t)
	source := oauth2.StaticTokenSource(&oauth2.Token{AccessToken: os.Getenv("DIGITALOCEAN_TOKEN")})
	c := must2(t)(godo.New(oauth2.NewClient(ctx, source), godo.SetBaseURL(os.Getenv("DIGITALOCEAN_API_URL"))))
	key := must[*godo.Key](t)(c.Keys.Create(ctx, &godo.KeyCreateRequest{Name: wanted.Name, PublicKey: wanted.Key}))
	options := order(wanted.Name)
	options.SSHKeys, options.UserData = []godo.DropletCreateSSHKey{{ID: key.ID}}, wanted.UserData
	droplet := must[*godo.Droplet](t)(c.Droplets.Create(ctx, options))
	wanted.Running(t, func() bool {
		droplet = must[*godo.Droplet](t)(c.Droplets.Get(ctx, droplet.ID))
		return droplet.Status == "active" && !droplet.Locked
	})
	ipv4, err := droplet.PublicIPv4()
	if err != nil {
		t.Fatal(err)
	}
	ipv6, err := droplet.PublicIPv6()
	if err != nil {
		t.Fatal(err)
	}
	wanted.Tell(t, sim.Told{ID: fmt.Sprint(droplet.ID), Region: droplet.Region.Slug, IPv4: ipv4, IPv6: ipv6})
}

func must2(t *testing.T) func(*godo.Client, error) *godo.Client {
	return func(c *godo.Client, err error) *godo.Client {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		return c
	}
}
