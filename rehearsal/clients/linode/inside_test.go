//go:build inside

package linode

import (
	"net/http"
	"os"
	"testing"
	"time"

	"github.com/linode/linodego"
)

// The client as it comes: the environment leads it to the simulator.
func TestInside(t *testing.T) {
	c := linodego.NewClient(http.DefaultClient)
	c.SetToken(os.Getenv(linodego.APIEnvVar))
	c.SetPollDelay(5 * time.Millisecond)
	instance := rent(t, &c, order("echora-1"))
	_, _, err := capture(t, &c, instance.ID, linodego.ImageCreateOptions{Label: "image"})
	done(t, err)
	done(t, c.DeleteInstance(ctx, instance.ID))
}
