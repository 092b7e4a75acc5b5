package digitalocean

import (
	"errors"
	"net/http"
	"strconv"
	"testing"
	"time"

	"echora.example/clients/sim"
	"github.com/digitalocean/godo"
)

// failure gives the status and the words of a provider's error.
func failure(t *testing.T, err error) (int, string) {
	t.Helper()
	var failed *godo.ErrorResponse
	if !errors.As(err, &failed) {
		t.Fatalf("this is no error of the provider: %v", err)
	}
	return failed.Response.StatusCode, failed.Message
}

func refused(t *testing.T, c *godo.Client, order *godo.DropletCreateRequest, words string) {
	t.Helper()
	_, _, err := c.Droplets.Create(ctx, order)
	if status, message := failure(t, err); status != http.StatusUnprocessableEntity || message != words {
		t.Errorf("it is refused with %d %q", status, message)
	}
}

func TestAWrongTokenMayNothingAndAReadOnlyOneMayLook(t *testing.T) {
	s, _ := start(t, sim.Options{})
	_, _, err := client(t, s, "wrong").Account.Get(ctx)
	if status, message := failure(t, err); status != http.StatusUnauthorized || message != "Unable to authenticate you" {
		t.Errorf("%d %q", status, message)
	}
	looking := client(t, s, sim.ReadOnly)
	if _, _, err := looking.Account.Get(ctx); err != nil {
		t.Error(err)
	}
	_, _, err = looking.Droplets.Create(ctx, order("echora-1"))
	if status, _ := failure(t, err); status != http.StatusForbidden {
		t.Errorf("it is refused with %d", status)
	}
}

func TestABadOrderIsRefusedAndLeavesNoTrace(t *testing.T) {
	s, c := start(t, sim.Options{})
	for words, spoil := range map[string]func(*godo.DropletCreateRequest){
		"You specified an invalid region for Droplet creation.":                        func(o *godo.DropletCreateRequest) { o.Region = "mars1" },
		"You specified an invalid size for Droplet creation.":                          func(o *godo.DropletCreateRequest) { o.Size = "s-0vcpu" },
		"You specified an invalid image for Droplet creation.":                         func(o *godo.DropletCreateRequest) { o.Image.Slug = "debian-3-x64" },
		"Only valid hostname characters are allowed. (a-z, A-Z, 0-9, . and -)":         func(o *godo.DropletCreateRequest) { o.Name = "under_score" },
		"4711 are invalid key identifiers for Droplet creation.":                       func(o *godo.DropletCreateRequest) { o.SSHKeys = []godo.DropletCreateSSHKey{{ID: 4711}} },
		"Tag names may only contain letters, numbers, colons, dashes, and underscores": func(o *godo.DropletCreateRequest) { o.Tags = []string{"no tag"} },
		"Size is not available in this region.":                                        func(o *godo.DropletCreateRequest) { o.Size, o.Region = "s-1vcpu-512mb-10gb", "tor1" },
	} {
		spoilt := order("echora-1")
		spoilt.Tags = []string{"of-a-refused-order"}
		spoil(spoilt)
		refused(t, c, spoilt, words)
	}
	s.Change("account", map[string]any{"droplet_limit": 0})
	refused(t, c, order("echora-1"), "creating this/these droplet(s) will exceed your droplet limit")
	if lines := s.Ledger().Lines; len(lines) != 0 {
		t.Errorf("refused orders made %+v", lines)
	}
	if tags := must[[]godo.Tag](t)(c.Tags.List(ctx, nil)); len(tags) != 0 {
		t.Errorf("refused orders made %+v", tags)
	}
}

func TestAKeyIsTakenOnce(t *testing.T) {
	_, c := start(t, sim.Options{})
	key := &godo.KeyCreateRequest{Name: "one", PublicKey: publicKey}
	must[*godo.Key](t)(c.Keys.Create(ctx, key))
	_, _, err := c.Keys.Create(ctx, key)
	if status, message := failure(t, err); status != 422 || message != "SSH Key is already in use on your account" {
		t.Errorf("%d %q", status, message)
	}
	_, _, err = c.Keys.Create(ctx, &godo.KeyCreateRequest{Name: "two", PublicKey: "no key"})
	if status, _ := failure(t, err); status != 422 {
		t.Errorf("it is refused with %d", status)
	}
}

func TestTooManyRequestsAreToldWithTheLimit(t *testing.T) {
	s, c := start(t, sim.Options{Requests: 3, Speed: 1})
	for left := 2; left >= 0; left-- {
		_, reply, err := c.Account.Get(ctx)
		done(t, reply, err)
		if reply.Rate.Limit != 3 || reply.Rate.Remaining != left || !reply.Rate.Reset.After(time.Now()) {
			t.Errorf("the limit is told as %+v", reply.Rate)
		}
	}
	_, reply, err := c.Account.Get(ctx)
	if status, message := failure(t, err); status != 429 || message != "API Rate limit exceeded." {
		t.Errorf("%d %q", status, message)
	}
	if reply.Header.Get("Retry-After") == "" || reply.Rate.Remaining != 0 {
		t.Errorf("headers %v", reply.Header)
	}
	if made := s.Count("GET", "/v2/account"); made != 4 {
		t.Errorf("%d requests", made)
	}
}

func TestABurstIsOverLongBeforeTheHoursRequestsAre(t *testing.T) {
	// All of it is in one minute of the provider's.
	_, c := start(t, sim.Options{Speed: 1})
	for range 250 {
		_, reply, err := c.Account.Get(ctx)
		done(t, reply, err)
	}
	_, reply, err := c.Account.Get(ctx)
	if status, _ := failure(t, err); status != http.StatusTooManyRequests {
		t.Errorf("it is refused with %d", status)
	}
	wait, err := strconv.Atoi(reply.Header.Get("Retry-After"))
	if err != nil || wait < 1 || wait > 60 || reply.Rate.Limit != 5000 || reply.Rate.Remaining != 5000-251 {
		t.Errorf("it is told with %v", reply.Header)
	}
}

func TestAClientThatWaitsGetsThroughTheLimit(t *testing.T) {
	// Its window of an hour is over within a second.
	s, _ := start(t, sim.Options{Requests: 2, Speed: 7200})
	wait := 0.001
	c := client(t, s, sim.Token, godo.WithRetryAndBackoffs(godo.RetryConfig{RetryMax: 4, RetryWaitMin: &wait, RetryWaitMax: &wait}))
	for range 5 {
		if _, _, err := c.Account.Get(ctx); err != nil {
			t.Fatal(err)
		}
	}
	if made := s.Count("GET", "/v2/account"); made <= 5 {
		t.Errorf("%d requests: it never had to wait", made)
	}
}
