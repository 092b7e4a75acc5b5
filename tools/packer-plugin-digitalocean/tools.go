//go:build tools

// Package tools pins the provider's Packer plugin for machines where its release cannot be had.
package tools

import _ "github.com/digitalocean/packer-plugin-digitalocean"
