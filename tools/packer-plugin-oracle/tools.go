//go:build tools

// Package tools pins the plugin for machines where its release cannot be had.
package tools

import _ "github.com/hashicorp/packer-plugin-oracle"
