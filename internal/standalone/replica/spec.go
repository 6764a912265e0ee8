package replica

import (
	"errors"
	"fmt"
	"os"
	"runtime"
	"slices"
	"time"
)

// SupervisorName is the argv[0] under which the binary has to call Main.
const SupervisorName = "sluice-supervisor"

// Defaults and limits of a supervisor.
const (
	// killAfter is how long processes get after SIGTERM when the quickstart is gone.
	killAfter = 2 * time.Second
	// firstRestart is the pause before a crashed app starts again. It doubles up to maxRestart with each crash, and
	// falls back when the app has run for steady. Kubernetes begins at 10 s and ends at 5 min.
	firstRestart = 100 * time.Millisecond
	nextRestart  = time.Second
	maxRestart   = time.Minute
	steady       = 30 * time.Second
	// outputDelay is how long an exit waits for the rest of the output, which a child of the app may keep open.
	outputDelay = 200 * time.Millisecond
	// reapAfter lets orphans that end together be reaped together.
	reapAfter = 20 * time.Millisecond
)

// Self is how this binary executes itself. On Linux the file may be gone: go run deletes it.
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
	// Limits hold where Spec.Cgroups lets them.
	Limits Limits
}

// Spec is what a supervisor runs. It crosses the control pipe as the first line of JSON.
type Spec struct {
	Name       string // shows in lists of processes
	App        Command
	QueueProxy Command
	// Init run before App and Sidecars, one after the other, until they succeed; one that Stays is a sidecar that starts in
	// its turn.
	Init     []Container
	Sidecars []Container
	Cgroups  Cgroups
	// Dir is removed in the end, when not empty.
	Dir string
	// Port is where the app has to listen, on Host.
	Host string
	Port int
	// DrainLimit bounds how long the queue-proxy drains, Grace how long the app takes after SIGTERM.
	DrainLimit, Grace time.Duration
}

// Validate reports the first field that can't be used.
func (s Spec) Validate() error {
	switch {
	case len(s.App.Args) == 0 || s.App.Path == "":
		return errors.New("replica: Spec.App has no path or no arguments")
	case len(s.QueueProxy.Args) == 0 || s.QueueProxy.Path == "":
		return errors.New("replica: Spec.QueueProxy has no path or no arguments")
	case slices.ContainsFunc(slices.Concat(s.Init, s.Sidecars), func(c Container) bool {
		return len(c.Command.Args) == 0 || c.Command.Path == "" || c.Process == App || c.Process == QueueProxy || c.Process == ""
	}):
		return errors.New("replica: a container of Spec has no path, no arguments or no name of its own")
	case s.Port < 1 || s.Port > 65535:
		return fmt.Errorf("replica: Spec.Port is %d", s.Port)
	case s.DrainLimit < 0 || s.Grace < 0:
		return errors.New("replica: a negative duration in Spec")
	}
	return nil
}

// Container is a process beside the app.
type Container struct {
	Process Process // names it in events
	Command Command
	Stays   bool
}

// order is what the quickstart tells a supervisor after the Spec.
type order struct {
	Stop bool
	// Restart ends the process Process, if PID is still its own, within Grace; it is started again like any that ended.
	Restart bool
	Process Process
	PID     int
	Grace   time.Duration
}
