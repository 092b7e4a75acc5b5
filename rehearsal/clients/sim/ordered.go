package sim

import (
	"encoding/json"
	"os"
	"testing"
	"time"
)

// Order is what a test of machines wants to be ordered; the Rust side sets it in ORDER.
type Order struct {
	Name     string            `json:"name"`
	Key      string            `json:"key"`
	UserData string            `json:"user_data"`
	Form     map[string]string `json:"form"`
	Script   string            `json:"script"`
	Seconds  int               `json:"seconds"`
}

// Told is what the API says of the machine that came of it. Region is written as the metadata service writes it.
type Told struct {
	ID     string `json:"id"`
	Region string `json:"region"`
	IPv4   string `json:"ipv4"`
	IPv6   string `json:"ipv6"`
}

// Ordered reads the order.
func Ordered(t *testing.T) Order {
	t.Helper()
	var order Order
	if err := json.Unmarshal([]byte(os.Getenv("ORDER")), &order); err != nil {
		t.Fatal(err)
	}
	return order
}

// Running waits until a machine runs, which takes as long as its boot.
func (o Order) Running(t *testing.T, runs func() bool) {
	t.Helper()
	for end := time.Now().Add(time.Duration(o.Seconds) * time.Second); !runs(); time.Sleep(time.Second) {
		if time.Now().After(end) {
			t.Fatal("the machine does not run")
		}
	}
}

// Tell hands over what the API says.
func (o Order) Tell(t *testing.T, told Told) {
	t.Helper()
	text, err := json.Marshal(told)
	if err == nil {
		err = os.WriteFile(os.Getenv("TOLD"), text, 0o600)
	}
	if err != nil {
		t.Fatal(err)
	}
}
