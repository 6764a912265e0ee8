package replica

import (
	"fmt"
	"os"
	"os/exec"
	"slices"
	"syscall"
)

// What this binary does in a child's process, as its first argument, before it becomes the program that follows.
const (
	adopter  = "--subreaper"
	rebinder = "--bind"
)

// through has cmd begin as this binary, with what it does first.
func through(cmd *exec.Cmd, first string) error {
	self, err := Self()
	if err != nil {
		return err
	}
	cmd.Args = slices.Concat([]string{SupervisorName, first, cmd.Path}, cmd.Args)
	cmd.Path = self
	return nil
}

// become becomes the program at args[0], with the rest as its arguments. It returns only an error.
func become(args []string) error {
	return fmt.Errorf("%s: %w", args[0], syscall.Exec(args[0], args[1:], os.Environ()))
}

// adopt has a container's client become the parent of the orphans below it: what runs the container, podman's conmon, is one, and
// clear would take it for what another container has left. A program remains a subreaper when it executes another: prctl(2).
func adopt(args []string) error {
	if err := becomeSubreaper(); err != nil {
		return err
	}
	return become(args)
}
