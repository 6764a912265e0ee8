package replica

import (
	"syscall"
	"time"
)

// side is an init container or a sidecar.
type side struct {
	Container
	init     bool
	child    *child // nil: it doesn't run
	pause    time.Duration
	restarts int
}

// sides are all of them. Their ends and timers are sent over the channels to the supervisor's goroutine; senders give up
// when over closes.
type sides struct {
	before []*side
	beside []*side
	next   int // index in init of the one that runs or will run

	exits chan *side
	again chan *side
	kills chan *child
	over  chan struct{}
}

func (s *sides) init() {
	s.exits, s.again, s.kills, s.over = make(chan *side), make(chan *side), make(chan *child), make(chan struct{})
}

func (s *sides) close() { close(s.over) }

// children returns those that run.
func (s *sides) children() []*child {
	var all []*child
	for _, group := range [][]*side{s.before, s.beside} {
		for _, sd := range group {
			if sd.child != nil {
				all = append(all, sd.child)
			}
		}
	}
	return all
}

func (s *sides) running() bool { return len(s.children()) > 0 }

// send sends v to the supervisor's goroutine, or gives up when the supervisor ends.
func send[T any](to chan<- T, v T, over <-chan struct{}) {
	select {
	case to <- v:
	case <-over:
	}
}

// startNext starts the next init container or, after the last, the app and its sidecars.
func (s *supervisor) startNext() {
	for s.sides.next < len(s.spec.Init) {
		sd := &side{Container: s.spec.Init[s.sides.next], init: true, pause: firstRestart}
		s.sides.before = append(s.sides.before, sd)
		s.sides.next++
		s.startSide(sd)
		if !sd.Stays {
			return
		}
	}
	s.startApp()
	for _, c := range s.spec.Sidecars {
		sd := &side{Container: c, pause: firstRestart}
		s.sides.beside = append(s.sides.beside, sd)
		s.startSide(sd)
	}
}

func (s *supervisor) startSide(sd *side) {
	if s.phase != running || sd.child != nil || s.hold(sd.Process, sd.Command, func() { s.startSide(sd) }) {
		return
	}
	c, err := s.start(sd.Process, sd.Command, true)
	if err != nil {
		s.sideLater(sd, Event{Kind: Failed, Process: sd.Process, Text: err.Error()})
		return
	}
	sd.child = c
	go func() {
		<-c.exited
		send(s.sides.exits, sd, s.sides.over)
	}()
}

// sideLater reports that a container is not running, and restarts it after a pause, like later for the app.
func (s *supervisor) sideLater(sd *side, e Event) {
	sd.restarts++
	e.RestartIn, e.Restarts = sd.pause, sd.restarts
	s.to.report(e)
	time.AfterFunc(sd.pause, func() { send(s.sides.again, sd, s.sides.over) })
	sd.pause = min(max(2*sd.pause, nextRestart), maxRestart)
}

func (s *supervisor) sideExited(sd *side) {
	c := sd.child
	sd.child = nil
	e := c.end()
	s.networkDown(c)
	c.signal(syscall.SIGKILL) // its children end with it
	switch {
	case s.phase != running:
		s.to.report(e)
	case sd.init && !sd.Stays && c.cmd.ProcessState.Success():
		e.Kind = Completed
		s.to.report(e)
		s.clearAfter(c)
		s.startNext()
		return
	default:
		if time.Since(c.since) >= steady {
			sd.pause = firstRestart
		}
		s.sideLater(sd, e)
	}
	s.clearAfter(c)
}

// restartNow ends a process that has failed its probe, unless it has been restarted, with another PID.
func (s *supervisor) restartNow(o order) {
	for _, c := range s.children() {
		if c.process == o.Process && c.pid() == o.PID && c.own && s.phase == running {
			s.endWithin(c, o.Grace)
		}
	}
}
