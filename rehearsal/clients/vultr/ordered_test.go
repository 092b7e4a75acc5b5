//go:build inside

package vultr

import (
	"encoding/base64"
	"os"
	"strings"
	"testing"

	"echora.example/clients/sim"
	"github.com/vultr/govultr/v3"
	"golang.org/x/oauth2"
)

// What a buyer does: a machine of the listing with a key and its form filled in, or one with user-data.
func TestOrdered(t *testing.T) {
	wanted := sim.Ordered(t)
	source := oauth2.StaticTokenSource(&oauth2.Token{AccessToken: os.Getenv("VULTR_API_KEY")})
	c := govultr.NewClient(oauth2.NewClient(ctx, source))
	key := must[*govultr.SSHKey](t)(c.SSHKey.Create(ctx, &govultr.SSHKeyReq{Name: wanted.Name, SSHKey: wanted.Key}))
	options := order(wanted.Name)
	options.SSHKeys = []string{key.ID}
	if wanted.UserData != "" {
		options.UserData = base64.StdEncoding.EncodeToString([]byte(wanted.UserData))
	} else {
		options.OsID, options.ImageID, options.AppVariables = 0, offered(t, c, wanted.Form), wanted.Form
	}
	made := must[*govultr.Instance](t)(c.Instance.Create(ctx, options))
	wanted.Running(t, func() bool {
		made = must[*govultr.Instance](t)(c.Instance.Get(ctx, made.ID))
		return made.Status == "active" && made.PowerStatus == "running"
	})
	wanted.Tell(t, sim.Told{ID: made.ID, Region: strings.ToUpper(made.Region), IPv4: made.MainIP, IPv6: made.V6MainIP})
}
