// Package sim orders simulators of the providers' APIs from the control door whose address is in SIMULATORS.
package sim

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"strings"
	"testing"
	"time"
)

// Tokens that every simulator takes.
const (
	Token    = "a-token-that-may-all"
	ReadOnly = "a-token-that-may-look"
)

// Patience is how long a test waits for anything.
const Patience = 20 * time.Second

// Simulator is a running simulator with an account of its own.
type Simulator struct {
	URL  string
	t    *testing.T
	door string
}

// Calls says which calls a fault hits.
type Calls struct {
	Method string `json:"method,omitempty"`
	Path   string `json:"path,omitempty"`
	After  int    `json:"after,omitempty"`
	Times  int    `json:"times,omitempty"`
}

// On is so many calls of a method whose path begins like this.
func On(method, path string, times int) *Calls {
	return &Calls{Method: method, Path: path, Times: times}
}

// Fault is something that goes wrong; see the Rust type of the same name.
type Fault struct {
	Fault        string  `json:"fault"`
	Error        string  `json:"error,omitempty"`
	Calls        *Calls  `json:"calls,omitempty"`
	Milliseconds int     `json:"milliseconds,omitempty"`
	Kind         string  `json:"kind,omitempty"`
	What         string  `json:"what,omitempty"`
	Factor       float64 `json:"factor,omitempty"`
}

// Line is something that the account held or holds.
type Line struct {
	Kind   string  `json:"kind"`
	ID     string  `json:"id"`
	Name   string  `json:"name"`
	Hourly float64 `json:"hourly"`
	Made   string  `json:"made"`
	Gone   *string `json:"gone"`
}

// Asked is a request and the status of its reply.
type Asked struct {
	Method string `json:"method"`
	Path   string `json:"path"`
	Status int    `json:"status"`
}

// Ledger is the account book.
type Ledger struct {
	Lines         []Line   `json:"lines"`
	Asked         []Asked  `json:"asked"`
	UnknownCalls  []string `json:"unknown_calls"`
	UnknownFields []string `json:"unknown_fields"`
	Defects       []string `json:"defects"`
}

// Options differ from a simulator's usual ones.
type Options struct {
	// Speed is how many of the provider's seconds go by in one of ours; 1000 when 0.
	Speed float64
	// Requests is how many requests a token may make in a window; the provider's own limit when 0.
	Requests int
	// Scopes is what Token is good for; for everything when empty.
	Scopes []string
}

// Start starts a simulator, which ends with the test. Calls and fields that its description does not know, and
// mistakes of the description, fail the test.
func Start(t *testing.T, provider string, options Options) *Simulator {
	t.Helper()
	door := os.Getenv("SIMULATORS")
	if door == "" {
		t.Fatal("SIMULATORS is not set: these tests are run by rehearsal/tests/provider_clients.rs")
	}
	order := map[string]any{
		"speed": 1000.0,
		"tokens": []map[string]any{
			{"value": Token, "scopes": append([]string{}, options.Scopes...)},
			{"value": ReadOnly, "read_only": true},
		},
	}
	if options.Speed != 0 {
		order["speed"] = options.Speed
	}
	if options.Requests != 0 {
		order["requests"] = options.Requests
	}
	var started struct {
		ID  int    `json:"id"`
		URL string `json:"url"`
	}
	s := &Simulator{t: t, door: door}
	s.call("POST", "/"+provider, order, &started)
	s.URL = started.URL
	s.door = fmt.Sprintf("%s/simulators/%d", door, started.ID)
	t.Cleanup(func() {
		ledger := s.Ledger()
		for _, stray := range [][]string{ledger.UnknownCalls, ledger.UnknownFields, ledger.Defects} {
			if len(stray) > 0 {
				t.Errorf("client and description disagree: %q", stray)
			}
		}
		s.call("DELETE", "", nil, nil)
	})
	return s
}

// Fault lets something go wrong from now on.
func (s *Simulator) Fault(fault Fault) {
	s.t.Helper()
	s.call("POST", "/faults", fault, nil)
}

// Heal lets everything go well again.
func (s *Simulator) Heal() {
	s.t.Helper()
	s.call("POST", "/heal", nil, nil)
}

// Change changes all resources of a kind.
func (s *Simulator) Change(kind string, fields map[string]any) {
	s.t.Helper()
	s.call("POST", "/change/"+kind, fields, nil)
}

// Ledger tells the account book.
func (s *Simulator) Ledger() Ledger {
	s.t.Helper()
	var ledger Ledger
	s.call("GET", "/ledger", nil, &ledger)
	return ledger
}

// Left tells what the account holds, as `kind name`, in the order in which it was made.
func (s *Simulator) Left() []string {
	s.t.Helper()
	left := []string{}
	for _, line := range s.Ledger().Lines {
		if line.Gone == nil {
			left = append(left, line.Kind+" "+line.Name)
		}
	}
	return left
}

// Count tells how often a call was made whose method and beginning of path are these.
func (s *Simulator) Count(method, path string) int {
	s.t.Helper()
	count := 0
	for _, asked := range s.Ledger().Asked {
		if asked.Method == method && strings.HasPrefix(asked.Path, path) {
			count++
		}
	}
	return count
}

// Answered tells how often a reply had this status.
func (s *Simulator) Answered(status int) int {
	s.t.Helper()
	count := 0
	for _, asked := range s.Ledger().Asked {
		if asked.Status == status {
			count++
		}
	}
	return count
}

// Until waits until a condition holds.
func (s *Simulator) Until(what string, holds func() bool) {
	s.t.Helper()
	for end := time.Now().Add(Patience); !holds(); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(end) {
			s.t.Fatalf("waited in vain: %s", what)
		}
	}
}

func (s *Simulator) call(method, path string, body, answer any) {
	s.t.Helper()
	text, err := json.Marshal(body)
	if err != nil {
		s.t.Fatal(err)
	}
	request, err := http.NewRequest(method, s.door+path, bytes.NewReader(text))
	if err != nil {
		s.t.Fatal(err)
	}
	reply, err := http.DefaultClient.Do(request)
	if err != nil {
		s.t.Fatal(err)
	}
	defer reply.Body.Close()
	told, err := io.ReadAll(reply.Body)
	if err != nil || reply.StatusCode != http.StatusOK {
		s.t.Fatalf("%s %s: %s %s %v", method, path, reply.Status, told, err)
	}
	if answer != nil {
		if err := json.Unmarshal(told, answer); err != nil {
			s.t.Fatalf("%s %s: %s: %v", method, path, told, err)
		}
	}
}
