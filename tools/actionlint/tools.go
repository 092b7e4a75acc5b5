//go:build tools

// Package tools pins the checker of workflows for machines where its release cannot be had.
package tools

import _ "github.com/rhysd/actionlint/cmd/actionlint"
