//go:build !linux

package replica

import (
	"errors"
	"os/exec"
)

var errNoRebind = errors.New("only Linux can give an app another port than it asks for")

// CanRebind returns why Spec.Binds has no effect.
func CanRebind() error { return errNoRebind }

type rebind struct{}

func rebinding(*exec.Cmd, int, int) (*rebind, error) { return nil, errNoRebind }

func (*rebind) serve() {}

func (*rebind) close() {}

func handOver([]string) error { return errNoRebind }
