//go:build tools

// Package dockerd pins the dockerd of the tests with real clients: its own module can be built only
// as a dependency.
package dockerd

import _ "github.com/moby/moby/v2/cmd/dockerd"
