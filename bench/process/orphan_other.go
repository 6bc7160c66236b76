//go:build !linux

package process

import "os/exec"

// EndWithParent does nothing: the system has no such thing.
func EndWithParent(*exec.Cmd) {}
