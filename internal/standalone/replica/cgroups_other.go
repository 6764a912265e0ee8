//go:build !linux

package replica

import (
	"os"
	"syscall"
)

// beginIn has nothing to do: there are no cgroups here.
func beginIn(*syscall.SysProcAttr, *os.File) {}
