//go:build tools

// Package tools pins Caddy for machines where its release cannot be had.
package tools

import _ "github.com/caddyserver/caddy/v2/cmd/caddy"
