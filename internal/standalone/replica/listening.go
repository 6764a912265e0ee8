package replica

import (
	"slices"
	"time"
)

// When to check whether an app listens. Most do within a second; a check reads all of /proc.
const (
	firstLook  = time.Second
	nextLook   = time.Second
	lastLook   = 5 * time.Minute
	silentFrom = 5 * time.Second
)

// listening is the state of whether the app listens.
type listening struct{ said Kind }

// lookAgain reports, once, an app that doesn't listen or listens on another port, and later that it listens on its port.
func (s *supervisor) lookAgain() {
	if s.app == nil || s.phase != running {
		return
	}
	ran := time.Since(s.app.since)
	ports, known := s.listeningPorts()
	if slices.Contains(ports, s.spec.Port) {
		if s.watch.said != "" {
			s.to.report(Event{Kind: Listens, Process: App, Ports: ports})
		}
		return
	}
	said := s.watch.said
	switch {
	case known && len(ports) > 0:
		said = Strayed
	case ran >= silentFrom && said == "":
		said = Silent
	}
	if said != s.watch.said {
		s.watch.said = said
		s.to.report(Event{Kind: said, Process: App, Ports: ports})
	}
	if ran < lastLook {
		s.look.Reset(nextLook)
	}
}
