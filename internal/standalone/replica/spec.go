package replica

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"slices"
	"time"
)

// SupervisorName is the argv[0] with which the binary has to call Main.
const SupervisorName = "sluice-supervisor"

// Defaults and limits of a supervisor.
const (
	// killAfter is the grace period after SIGTERM when the quickstart has ended.
	killAfter = 2 * time.Second
	// firstRestart is the pause before a crashed app is restarted. It doubles with each crash up to maxRestart, and is reset
	// when the app has run for steady. In Kubernetes it grows from 10 s to 5 min.
	firstRestart = 100 * time.Millisecond
	nextRestart  = time.Second
	maxRestart   = time.Minute
	steady       = 30 * time.Second
	// outputDelay bounds the wait for the rest of the output after an exit: a child of the app may keep it open.
	outputDelay = 200 * time.Millisecond
	// reapAfter is the delay with which orphans that end together are reaped together.
	reapAfter = 20 * time.Millisecond
	// afterLimit bounds Command.After. To remove a container takes half a second, or more on a busy machine.
	afterLimit = 10 * time.Second
)

// Self returns the path with which this binary executes itself. On Linux that works for a deleted file: go run deletes it.
func Self() (string, error) {
	if runtime.GOOS == "linux" {
		return "/proc/self/exe", nil
	}
	return os.Executable()
}

// Command is a process to run.
type Command struct {
	Path string   // a path, or a name to be looked up in PATH
	Args []string // with argv[0]
	Env  []string // the whole environment
	Dir  string   // empty: the quickstart's
	// After, unless it is empty, is the argv of a program that runs after each end of the process, whatever ended it: what
	// removes a container of which the process was only the client.
	After []string
	// Joins: it shares the replica's Network.
	Joins bool
	// Limits are enforced if Spec.Cgroups allows it.
	Limits Limits
}

// after runs c.After, and returns when it has ended. Its result doesn't matter: mostly there is nothing left to do.
func (c Command) after() {
	if len(c.After) == 0 {
		return
	}
	ctx, cancel := context.WithTimeout(context.Background(), afterLimit)
	defer cancel()
	cmd := exec.CommandContext(ctx, c.After[0], c.After[1:]...)
	cmd.Env = c.Env
	_ = cmd.Run()
}

// Spec is what a supervisor runs. It is the first line of JSON on the control pipe.
type Spec struct {
	Name       string // shown in lists of processes
	App        Command
	QueueProxy Command // empty: there is none, and no Port
	// Init run before App and Sidecars, one after the other, until they succeed; one that Stays is a sidecar that starts
	// among them.
	Init     []Container
	Sidecars []Container
	Network  Network
	Cgroups  Cgroups
	// Dir is removed at the end, unless it is empty.
	Dir string
	// Port is the app's port on Host.
	Host string
	Port int
	// Binds is the port that the app listens on whatever it is told; it gets Port in its place, if CanRebind. 0: none.
	Binds int
	// DrainLimit bounds the queue-proxy's drain, Grace the app's time after SIGTERM.
	DrainLimit, Grace time.Duration
}

// Validate returns the error of the first invalid field.
func (s Spec) Validate() error {
	switch {
	case len(s.App.Args) == 0 || s.App.Path == "":
		return errors.New("replica: Spec.App has no path or no arguments")
	case s.proxied() && (len(s.QueueProxy.Args) == 0 || s.QueueProxy.Path == ""):
		return errors.New("replica: Spec.QueueProxy has no path or no arguments")
	case slices.ContainsFunc(slices.Concat(s.Init, s.Sidecars), func(c Container) bool {
		return len(c.Command.Args) == 0 || c.Command.Path == "" || c.Process == App || c.Process == QueueProxy || c.Process == ""
	}):
		return errors.New("replica: a container of Spec has no path, no arguments or no name of its own")
	case s.Network.Process == "" && slices.ContainsFunc(s.commands(), func(c Command) bool { return c.Joins }),
		s.Network.Process != "" && len(s.Network.Runs) == 0:
		return errors.New("replica: Spec.Network is missing, or has no program that says whether it is there")
	case s.proxied() && (s.Port < 1 || s.Port > 65535):
		return fmt.Errorf("replica: Spec.Port is %d", s.Port)
	case s.Binds < 0 || s.Binds > 65535 || s.Binds > 0 && len(s.App.After) > 0:
		return fmt.Errorf("replica: Spec.Binds is %d", s.Binds)
	case s.DrainLimit < 0 || s.Grace < 0:
		return errors.New("replica: a negative duration in Spec")
	}
	return nil
}

// commands returns those of all containers, first those that share another's network.
func (s Spec) commands() []Command {
	all := []Command{s.App}
	for _, c := range slices.Concat(s.Init, s.Sidecars) {
		all = append(all, c.Command)
	}
	slices.SortStableFunc(all, func(a, b Command) int {
		switch {
		case a.Joins == b.Joins:
			return 0
		case a.Joins:
			return -1
		}
		return 1
	})
	return all
}

// proxied reports whether there is a queue-proxy.
func (s Spec) proxied() bool {
	return len(s.QueueProxy.Args) > 0 || s.QueueProxy.Path != "" || s.Port != 0
}

// Container is an init container or a sidecar.
type Container struct {
	Process Process // names it in events
	Command Command
	Stays   bool
}

// order is a later line on the control pipe.
type order struct {
	Stop bool
	// Restart ends the process Process, if PID is still its own, within Grace; it is restarted like any that has ended.
	Restart bool
	Process Process
	PID     int
	Grace   time.Duration
}
