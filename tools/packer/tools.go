//go:build tools

// Package tools pins Packer for machines where its release cannot be had.
package tools

import _ "github.com/hashicorp/packer"
