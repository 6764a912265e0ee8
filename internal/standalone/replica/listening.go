package replica

import (
	"slices"
	"time"
)

// When an app should have begun to listen. Most do within a second; a look costs a walk through /proc.
const (
	firstLook  = time.Second
	nextLook   = time.Second
	lastLook   = 5 * time.Minute
	silentFrom = 5 * time.Second
)

// listening is what is known of where the app listens.
type listening struct{ said Kind }

// lookAgain reports an app that listens nowhere or elsewhere, once, and when it has come to its senses.
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
