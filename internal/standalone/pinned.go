package standalone

import (
	"fmt"
	"slices"

	"github.com/sluice-proxy/sluice/internal/standalone/replica"
)

// An app that ignores $PORT and listens on its containerPort is pinned to that port of the machine: its revision has one
// replica at a time, whose $PORT is the containerPort. More would need a network namespace for each.

// pin pins r if its app listens on its containerPort instead of $PORT, and reports whether it does so now. Its replicas start
// again, with that port.
func (s *Server) pin(r *revision, e replica.Event) bool {
	port := r.Template.Container.Port
	if r.pinned || r.Command == nil || !slices.Contains(e.Ports, port) {
		return false
	}
	r.pinned = true
	s.config.Screen.Line(fmt.Sprintf("%s: the app listens on its containerPort, %d, and not on $PORT: it is started again for that port, and has one "+
		"replica at a time; for more, have it read the environment variable PORT", r.Name, port))
	for _, p := range r.active() {
		s.terminate(r, p)
	}
	s.converge(r)
	return true
}

// inheritPin pins a new revision if the app of an earlier one of its service is. It gets traffic at once, as the two can't run
// together.
func (s *Server) inheritPin(r *revision) {
	for _, other := range s.revisions {
		if other.sharesPin(r) && r.Command != nil {
			r.pinned, r.warm = true, true
		}
	}
}

// sharesPin reports whether r is pinned to the port of another revision of its service.
func (r *revision) sharesPin(other *revision) bool {
	return r != other && r.pinned && r.Namespace == other.Namespace && r.Service == other.Service && r.Template.Container.Port == other.Template.Container.Port
}

// portFree reports whether r may launch a replica: if it is pinned no other replica may have its port, or may have had it and
// still be ending. One that is to make way, an outdated one or an earlier revision's, is ended.
func (s *Server) portFree(r *revision) bool {
	if !r.pinned {
		return true
	}
	free := s.ownerOfPort(r) == nil
	for p, owner := range s.pods {
		if p.ports.app == r.Template.Container.Port || owner == r && p.ending {
			if owner == r && p.version != r.version || owner.sharesPin(r) && s.ownerOfPort(owner) == r {
				s.terminate(owner, p)
			}
			free = false
		}
	}
	return free
}

// ownerOfPort returns the latest revision of r's service if that has the port to which both are pinned, or waits for it; nil:
// r may have it.
func (s *Server) ownerOfPort(r *revision) *revision {
	for _, svc := range s.catalog.Services() {
		if latest := s.revisions[idOf(svc.Latest)]; latest != nil && latest.sharesPin(r) && latest.desired > 0 {
			return latest
		}
	}
	return nil
}

// portFreed launches the replicas that have waited for the port of p, which is gone.
func (s *Server) portFreed(p *pod) {
	for _, r := range s.revisions {
		if r.pinned && r.Template.Container.Port == p.ports.app {
			s.converge(r)
		}
	}
}
