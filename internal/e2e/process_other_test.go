//go:build !linux

package e2e

import "os/exec"

// tie does nothing: the leash has to do.
func tie(*exec.Cmd) {}
