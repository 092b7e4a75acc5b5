//go:build inside

package linode

import (
	"encoding/base64"
	"fmt"
	"net/http"
	"os"
	"strings"
	"testing"

	"echora.example/clients/sim"
	"github.com/linode/linodego"
)

// What a buyer does: a machine with a StackScript and its form filled in, or with user-data.
func TestOrdered(t *testing.T) {
	wanted := sim.Ordered(t)
	c := linodego.NewClient(http.DefaultClient)
	c.SetToken(os.Getenv(linodego.APIEnvVar))
	options := order(wanted.Name)
	options.AuthorizedKeys = []string{wanted.Key}
	if wanted.UserData != "" {
		options.Metadata = &linodego.InstanceMetadataOptions{UserData: base64.StdEncoding.EncodeToString([]byte(wanted.UserData))}
	}
	if wanted.Script != "" {
		options.StackScriptID, options.StackScriptData = publish(t, &c, wanted.Script, "any/all").ID, wanted.Form
	}
	made := must[*linodego.Instance](t)(c.CreateInstance(ctx, options))
	wanted.Running(t, func() bool {
		made = must[*linodego.Instance](t)(c.GetInstance(ctx, made.ID))
		return made.Status == linodego.InstanceRunning
	})
	wanted.Tell(t, sim.Told{
		ID: fmt.Sprint(made.ID), Region: made.Region, IPv4: made.IPv4[0].String(), IPv6: strings.TrimSuffix(made.IPv6, "/128"),
	})
}
