package standalone

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"slices"
	"strings"
	"syscall"

	"golang.org/x/sys/unix"

	"github.com/sluice-proxy/sluice/internal/standalone/podlog"
	"github.com/sluice-proxy/sluice/internal/standalone/replica"
)

// An app that ignores $PORT and listens on its containerPort, or can't, is started again with that as its $PORT. Where the machine allows
// it (replica.CanRebind), it gets another port of the machine in its place. Elsewhere it is pinned to that port of the machine:
// its revision has one replica at a time.

// refit has r's replicas start again if its app listens on its containerPort instead of $PORT, and reports whether it does so now.
func (s *Server) refit(r *revision, e replica.Event) bool {
	port := r.Template.Container.Port
	if r.pinned || r.Command == nil || !slices.Contains(e.Ports, port) {
		return false
	}
	why := errors.New("its calls of bind could not be seen")
	if !r.rebound {
		why = s.config.canRebind()
	}
	r.rebound, r.pinned = why == nil, why != nil
	line := fmt.Sprintf("%s: the app listens on its containerPort, %d, and not on $PORT: it is started again, and its replicas get other ports of "+
		"this machine in place of that one", r.Name, port)
	if r.pinned {
		line = fmt.Sprintf("%s: the app listens on its containerPort, %d, and not on $PORT: it is started again for that port, and has one replica "+
			"at a time (%v); for more, have it read the environment variable PORT", r.Name, port, why)
	}
	s.startOver(r, line)
	return true
}

// unblock has r's replicas start again if the app of p has ended because it can't have its containerPort: the ingress may have it,
// or another service, or it needs a privilege.
func (s *Server) unblock(r *revision, p *pod) {
	port := r.Template.Container.Port
	if r.pinned || r.rebound || r.Command == nil {
		return
	}
	l, err := net.Listen("tcp", fmt.Sprintf(":%d", port))
	if err == nil {
		l.Close()
		return
	}
	errno, ok := errors.AsType[syscall.Errno](err)
	if !ok || !p.says(errno.Error(), unix.ErrnoName(errno)) || s.config.canRebind() != nil {
		return
	}
	r.rebound = true
	s.startOver(r, fmt.Sprintf("%s: its containerPort, %d, can't be had on this machine (%v): it is started again, and its replicas get other ports of "+
		"this machine in place of that one", r.Name, port, errno))
}

// says reports whether the last lines of the app have one of some texts in them, in letters of any case.
func (p *pod) says(texts ...string) bool {
	const last = 100 // lines: a stack is long
	log := p.container(replica.App).log.Open(context.Background(), podlog.Options{Tail: last})
	said, _ := io.ReadAll(log) // has no errors
	return slices.ContainsFunc(texts, func(text string) bool { return strings.Contains(strings.ToLower(string(said)), strings.ToLower(text)) })
}

// startOver ends all replicas of r and starts new ones.
func (s *Server) startOver(r *revision, why string) {
	s.config.Screen.Line(why)
	for _, p := range r.active() {
		s.terminate(r, p)
	}
	s.converge(r)
}

// inheritPort treats the app of a new revision as that of an earlier one of its service. If it is pinned it gets traffic at once,
// as the two can't run together.
func (s *Server) inheritPort(r *revision) {
	if r.Command == nil {
		return
	}
	for _, other := range s.revisions {
		switch {
		case other.sharesPin(r):
			r.pinned, r.warm = true, true
		case other.rebound && other.samePort(r):
			r.rebound = true
		}
	}
}

// samePort reports whether r and another revision of its service have the same containerPort.
func (r *revision) samePort(other *revision) bool {
	return r.sibling(other) && r.Template.Container.Port == other.Template.Container.Port
}

// sharesPin reports whether r is pinned to the port of another revision of its service.
func (r *revision) sharesPin(other *revision) bool {
	return r.pinned && r.samePort(other)
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
