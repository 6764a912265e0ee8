package replica

import (
	"fmt"
	"os"
	"os/exec"
	"slices"
	"syscall"
)

// adopter in the arguments of this binary has it become a subreaper, and then the program that follows.
const adopter = "--"

// adopting has a container's client become the parent of the orphans below it: what runs the container, podman's conmon, is one,
// and clear would take it for what another container has left. A program remains a subreaper when it executes another: prctl(2).
func adopting(cmd *exec.Cmd) error {
	self, err := Self()
	if err != nil {
		return err
	}
	cmd.Args = slices.Concat([]string{SupervisorName, adopter, cmd.Path}, cmd.Args)
	cmd.Path = self
	return nil
}

// adopt becomes the program at args[0], with the rest as its arguments. It returns only an error.
func adopt(args []string) error {
	if err := becomeSubreaper(); err != nil {
		return err
	}
	return fmt.Errorf("%s: %w", args[0], syscall.Exec(args[0], args[1:], os.Environ()))
}
