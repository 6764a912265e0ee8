package replica

import (
	"os"
	"os/exec"
	"syscall"
	"time"
)

// child is a running process of the supervisor.
type child struct {
	process Process
	command Command
	own     bool // leads a process group
	cmd     *exec.Cmd
	out     *lines
	err     *lines
	group   *group
	since   time.Time
	with    Process       // whose end has it end, too
	exited  chan struct{} // closed when it has exited and its output has been read
}

// start runs c, within its limits. When own, the child leads a process group.
func (s *supervisor) start(process Process, c Command, own bool) (*child, error) {
	ch := &child{
		process: process, command: c, own: own,
		out:    &lines{process: process, to: s.to},
		err:    &lines{process: process, to: s.to},
		since:  time.Now(),
		exited: make(chan struct{}),
	}
	path := c.Path
	if found, err := exec.LookPath(path); err == nil {
		path = found
	}
	ch.cmd = &exec.Cmd{
		Path: path, Args: c.Args, Env: c.Env, Dir: c.Dir,
		Stdout: ch.out, Stderr: ch.err, WaitDelay: outputDelay,
		SysProcAttr: &syscall.SysProcAttr{Setpgid: own},
	}
	if err := s.exec(ch); err != nil {
		ch.group.remove()
		return nil, err
	}
	s.to.report(Event{Kind: Started, Process: process, PID: ch.pid()})
	go ch.wait()
	s.owns(ch)
	return ch, nil
}

// exec starts c's process, through this binary if that has to do something in it first.
func (s *supervisor) exec(c *child) (err error) {
	var calls *rebind
	switch {
	case len(c.command.After) > 0:
		err = through(c.cmd, adopter)
	case c.process == App && s.spec.Binds > 0:
		if err = through(c.cmd, rebinder); err == nil {
			calls, err = rebinding(c.cmd, s.spec.Binds, s.spec.Port)
		}
	}
	if err != nil {
		return err
	}
	if c.group, err = s.spec.Cgroups.limit(c.command.Limits); err == nil {
		err = c.group.start(c.cmd)
	}
	switch {
	case calls == nil:
	case err == nil:
		calls.serve()
	default:
		calls.close()
	}
	return err
}

func (c *child) wait() {
	_ = c.cmd.Wait() // the ProcessState has the result
	c.out.flush()
	c.err.flush()
	close(c.exited)
}

func (c *child) pid() int { return c.cmd.Process.Pid }

// OOMKilled begins the Status of a process that was killed for its memory: Kubernetes' term.
const OOMKilled = "OOMKilled"

// status of a child that has exited.
func (c *child) status() string {
	if !c.cmd.ProcessState.Success() && c.group.killed() {
		return OOMKilled + ": over its limit of " + c.group.limits.MemoryText
	}
	return c.cmd.ProcessState.String()
}

// end returns the event of a child that has exited.
func (c *child) end() Event {
	return Event{Kind: Exited, Process: c.process, PID: c.pid(), Status: c.status(), Code: c.code(), Text: c.err.lastLine(), With: c.with}
}

// code of a child that has exited.
func (c *child) code() int {
	if w, ok := c.cmd.ProcessState.Sys().(syscall.WaitStatus); ok && w.Signaled() {
		return 128 + int(w.Signal())
	}
	return c.cmd.ProcessState.ExitCode()
}

func (c *child) running() bool {
	select {
	case <-c.exited:
		return false
	default:
		return true
	}
}

// signal sends a signal to c, or to its whole group if it leads one.
func (c *child) signal(s syscall.Signal) {
	if c.own {
		_ = syscall.Kill(-c.pid(), s)
		return
	}
	if c.running() {
		_ = c.cmd.Process.Signal(s)
	}
}

// fds that Start gives to the supervisor.
const (
	controlFD = 3
	eventsFD  = 4
)

// inherited returns a pipe from the quickstart, which children of the supervisor don't inherit.
func inherited(fd uintptr, name string) *os.File {
	syscall.CloseOnExec(int(fd))
	return os.NewFile(fd, name)
}
