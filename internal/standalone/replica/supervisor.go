package replica

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"os"
	"os/signal"
	"strconv"
	"syscall"
	"time"
)

// Main runs the supervisor. The binary has to call it if its argv[0] is SupervisorName. It returns the exit code after all
// its processes have ended.
func Main() int {
	var err error
	switch {
	case len(os.Args) > 3 && os.Args[1] == adopter:
		err = adopt(os.Args[2:])
	case len(os.Args) > 1 && os.Args[1] == rebinder:
		err = handOver(os.Args[2:])
	default:
		err = supervise(inherited(controlFD, "control"), newReporter(inherited(eventsFD, "events")))
	}
	if err != nil {
		fmt.Fprintf(os.Stderr, "%s: %v\n", SupervisorName, err)
		return 1
	}
	return 0
}

// phase of a supervisor.
type phase int

const (
	running  phase = iota
	draining       // the queue-proxy has received SIGTERM
	ending         // the app has, too
)

// supervisor is owned by one goroutine.
type supervisor struct {
	spec Spec
	to   *reporter

	phase    phase
	hurry    bool // the quickstart has ended
	app      *child
	proxy    *child
	restarts int
	pause    time.Duration // before the next restart
	watch    listening
	sides    sides
	network  network

	deadline *time.Timer // of the phase
	restart  *time.Timer
	look     *time.Timer // to check whether the app listens
	orphans  *time.Timer // to reap those that have ended
}

func supervise(control io.ReadCloser, to *reporter) error {
	signals := make(chan os.Signal, 16)
	signal.Notify(signals, syscall.SIGTERM, syscall.SIGINT, syscall.SIGHUP, syscall.SIGCHLD)
	defer signal.Stop(signals)
	if err := becomeSubreaper(); err != nil {
		return err
	}
	in := bufio.NewReader(control)
	first, err := in.ReadBytes('\n')
	if err != nil {
		return fmt.Errorf("no spec: %w", err)
	}
	s := &supervisor{to: to, pause: firstRestart}
	if err := json.Unmarshal(first, &s.spec); err != nil {
		return fmt.Errorf("spec: %w", err)
	}
	if err := s.spec.Validate(); err != nil {
		return err
	}
	defer s.spec.Cgroups.removeOf(os.Getpid())
	s.sides.init()
	defer s.sides.close()
	if s.spec.Dir != "" {
		defer os.RemoveAll(s.spec.Dir)
	}
	s.deadline, s.restart, s.look, s.orphans, s.network.ask = stopped(), stopped(), stopped(), stopped(), stopped()
	end := make(chan struct{})
	defer close(end)
	s.run(orders(in, end), signals)
	return nil
}

// orders reads control. The channel closes with it, or when the process ends.
func orders(in *bufio.Reader, end <-chan struct{}) <-chan order {
	c := make(chan order)
	go func() {
		defer close(c)
		for {
			line, err := in.ReadBytes('\n')
			if err != nil {
				return
			}
			var o order
			if json.Unmarshal(line, &o) != nil {
				continue
			}
			select {
			case c <- o:
			case <-end:
				return
			}
		}
	}()
	return c
}

// run returns when all processes have ended.
func (s *supervisor) run(control <-chan order, signals <-chan os.Signal) {
	if s.spec.proxied() {
		s.startProxy()
	}
	s.startNext()
	for s.app != nil || s.proxy != nil || s.sides.running() || s.phase == running {
		select {
		case o, open := <-control:
			switch {
			case !open:
				control = nil
				s.hurryUp()
			case o.Stop:
				s.drain()
			case o.Restart:
				s.restartNow(o)
			}
		case sig := <-signals:
			if sig == syscall.SIGCHLD {
				s.orphans.Reset(reapAfter)
			} else {
				s.drain()
			}
		case <-exited(s.app):
			s.appExited()
		case <-exited(s.proxy):
			s.proxyExited()
		case <-s.network.ask.C:
			s.askForNetwork()
		case sd := <-s.sides.exits:
			s.sideExited(sd)
		case sd := <-s.sides.again:
			s.startSide(sd)
		case c := <-s.sides.kills:
			if c.running() {
				c.signal(syscall.SIGKILL)
			}
		case <-s.restart.C:
			s.startApp()
		case <-s.look.C:
			s.lookAgain()
		case <-s.orphans.C:
			s.reap()
		case <-s.deadline.C:
			s.late()
		}
	}
	s.clear()
}

// exited returns the channel of a child's exit; nil, which blocks forever, without a child.
func exited(c *child) <-chan struct{} {
	if c == nil {
		return nil
	}
	return c.exited
}

func (s *supervisor) startProxy() {
	p, err := s.start(QueueProxy, s.spec.QueueProxy, false)
	if err != nil {
		s.to.report(Event{Kind: Failed, Process: QueueProxy, Text: err.Error()})
		s.end()
		return
	}
	s.proxy = p
}

func (s *supervisor) startApp() {
	if s.phase != running || s.app != nil || s.hold(App, s.spec.App, s.startApp) {
		return
	}
	a, err := s.start(App, s.spec.App, true)
	if err != nil {
		s.later(Event{Kind: Failed, Process: App, Text: err.Error()})
		return
	}
	s.app = a
	s.watch = listening{}
	if s.spec.proxied() {
		s.look.Reset(firstLook)
	}
}

// later reports that the app is not running, and restarts it after a pause.
func (s *supervisor) later(e Event) {
	s.restarts++
	e.RestartIn, e.Restarts = s.pause, s.restarts
	s.to.report(e)
	s.restart.Reset(s.pause)
	s.pause = min(max(2*s.pause, nextRestart), maxRestart)
}

func (s *supervisor) appExited() {
	a := s.app
	s.app = nil
	s.look.Stop()
	e := a.end()
	if s.phase == running {
		if time.Since(a.since) >= steady {
			s.pause = firstRestart
		}
		s.later(e) // first, so that no further request is sent to this replica
	} else {
		s.to.report(e)
	}
	s.networkDown(a)
	a.signal(syscall.SIGKILL) // its children end with it, as in a container
	s.clearAfter(a)
	switch {
	case s.phase != running:
		s.end()
	case s.spec.proxied() && s.network.owner == nil && s.network.late == nil && s.portTaken(): // else its own network may still answer
		s.to.report(Event{Kind: Taken, Process: App, Ports: []int{s.spec.Port}})
	}
}

// clearAfter cleans up after a container that has ended.
func (s *supervisor) clearAfter(c *child) {
	s.clear()
	s.removed(c)
	c.group.remove()
}

func (s *supervisor) proxyExited() {
	p := s.proxy
	s.proxy = nil
	s.to.report(p.end())
	s.end()
}

// portTaken reports whether another program listens on the app's port. It doesn't try to listen: whoever probes the app at that
// moment would find it ready.
func (s *supervisor) portTaken() bool {
	c, err := (&net.Dialer{Timeout: time.Second}).Dial("tcp", net.JoinHostPort(s.spec.Host, strconv.Itoa(s.spec.Port)))
	if err != nil {
		return false
	}
	c.Close()
	return true
}

// drain starts the graceful shutdown.
func (s *supervisor) drain() {
	if s.phase != running {
		return
	}
	s.phase = draining
	s.restart.Stop()
	if s.proxy == nil {
		s.end()
		return
	}
	s.proxy.signal(syscall.SIGTERM)
	s.deadline.Reset(s.spec.DrainLimit)
}

// end ends the app, and the queue-proxy if it still runs.
func (s *supervisor) end() {
	if s.phase == ending {
		return
	}
	s.phase = ending
	s.restart.Stop()
	s.look.Stop()
	for _, c := range s.children() {
		c.signal(syscall.SIGTERM)
	}
	s.deadline.Reset(s.grace())
}

// children returns the running children that the supervisor has started.
func (s *supervisor) children() []*child {
	var all []*child
	for _, c := range append([]*child{s.proxy, s.app}, s.sides.children()...) {
		if c != nil {
			all = append(all, c)
		}
	}
	return all
}

func (s *supervisor) grace() time.Duration {
	if s.hurry {
		return min(s.spec.Grace, killAfter)
	}
	return s.spec.Grace
}

func (s *supervisor) hurryUp() {
	s.hurry = true
	s.end()
	s.deadline.Reset(s.grace())
}

// late is called when a phase has exceeded its time.
func (s *supervisor) late() {
	if s.phase == draining {
		s.end()
		return
	}
	for _, c := range s.children() {
		c.signal(syscall.SIGKILL)
	}
	s.clear()
	s.deadline.Reset(time.Second) // a process may just have forked
}

func stopped() *time.Timer {
	t := time.NewTimer(time.Hour)
	t.Stop()
	return t
}
