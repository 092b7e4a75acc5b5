//go:build tools

// Package tools pins Let's Encrypt's test CA and its DNS stand-in.
package tools

import (
	_ "github.com/letsencrypt/pebble/v2/cmd/pebble"
	_ "github.com/letsencrypt/pebble/v2/cmd/pebble-challtestsrv"
)
