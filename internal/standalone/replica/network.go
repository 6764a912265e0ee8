package replica

import (
	"bytes"
	"context"
	"os/exec"
	"syscall"
	"time"
)

// Network is the network that containers of a replica share. The zero value: they share none.
type Network struct {
	// Process has the network: it starts before those whose Command Joins, and when it ends they are started again, too.
	Process Process
	// Runs is the argv of a program whose output is "true" when the others can join.
	Runs []string
}

// askNetwork is the pause between questions whether the network is there, each of which costs as much as a program's start,
// and askLimit how long each may hold up the supervisor.
const (
	askNetwork = 100 * time.Millisecond
	askLimit   = 2 * time.Second
)

// network is the state of the replica's Network.
type network struct {
	owner *child      // the running process that has it
	up    bool        // others can join
	ask   *time.Timer // whether they can
	// late is a former owner that can't be removed yet: others still have its network.
	late *child
	held []func() // starts that wait for the network
}

// hold reports whether a container has to wait for the network, and then has start called when that has changed.
func (s *supervisor) hold(process Process, c Command, start func()) bool {
	wait := c.Joins && !s.network.up || process == s.spec.Network.Process && len(s.joined()) > 0
	if wait {
		s.network.held = append(s.network.held, start)
	}
	return wait
}

// resume calls the starts that have waited, some of which may have to wait again.
func (s *supervisor) resume() {
	held := s.network.held
	s.network.held = nil
	for _, start := range held {
		start()
	}
}

// joined returns the running children that share the network with its owner.
func (s *supervisor) joined() []*child {
	var all []*child
	for _, c := range s.children() {
		if c.command.Joins {
			all = append(all, c)
		}
	}
	return all
}

// owns has the network come up if c, which has been started, is its owner.
func (s *supervisor) owns(c *child) {
	if c.process == s.spec.Network.Process {
		s.network.owner = c
		s.network.ask.Reset(askNetwork)
	}
}

// askForNetwork starts those that have waited for the network if it is there. The program runs on this goroutine, as reap and
// clear would take it for one that a container has left.
func (s *supervisor) askForNetwork() {
	if s.network.owner == nil {
		return
	}
	if s.network.up = s.network.owner.command.says(s.spec.Network.Runs, "true"); s.network.up {
		s.resume()
	} else {
		s.network.ask.Reset(askNetwork)
	}
}

// networkDown ends those that have lost their network with c.
func (s *supervisor) networkDown(c *child) {
	if c != s.network.owner {
		return
	}
	s.network.owner, s.network.up = nil, false
	s.network.ask.Stop()
	if s.phase == running {
		for _, j := range s.joined() {
			j.with = c.process
			s.endWithin(j, s.grace())
		}
	}
}

// endWithin sends SIGTERM to a container and, after the grace, SIGKILL.
func (s *supervisor) endWithin(c *child, grace time.Duration) {
	c.signal(syscall.SIGTERM)
	time.AfterFunc(grace, func() { send(s.sides.kills, c, s.sides.over) })
}

// removed cleans up after a container that has ended. The owner of the network comes after those who share it.
func (s *supervisor) removed(c *child) {
	if c.process == s.spec.Network.Process && len(s.joined()) > 0 {
		s.network.late = c
		return
	}
	c.command.after()
	if late := s.network.late; late != nil && len(s.joined()) == 0 {
		s.network.late = nil
		late.command.after()
		s.resume()
	}
}

// says reports whether the output of a program is text.
func (c Command) says(argv []string, text string) bool {
	ctx, cancel := context.WithTimeout(context.Background(), askLimit)
	defer cancel()
	cmd := exec.CommandContext(ctx, argv[0], argv[1:]...)
	cmd.Env = c.Env
	out, err := cmd.Output()
	return err == nil && string(bytes.TrimSpace(out)) == text
}
