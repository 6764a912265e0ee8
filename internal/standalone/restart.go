package standalone

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/sluice-proxy/sluice/internal/standalone/replica"
)

// watchFiles watches the files that replicas of r run, as they are before one starts.
func (s *Server) watchFiles(r *revision, spec replica.Spec) {
	files := filesOf(spec, s.self, r.options.Watch)
	if slices.Equal(files, r.files) {
		return
	}
	r.files = files
	for _, path := range s.programs.watch(r.id, files) {
		s.config.Screen.Line(fmt.Sprintf("%s: %s has too many files: only the first %d are watched", r.Name, path, most))
	}
}

// programsChanged replaces the replicas that run a changed file.
func (s *Server) programsChanged(path string) {
	if s.ending {
		return
	}
	for _, r := range s.revisions {
		if slices.Contains(r.files, path) {
			s.replace(r, path+" has changed")
		}
	}
}

// Restart replaces all replicas, as after a change of their programs. It is safe for concurrent use.
func (s *Server) Restart() {
	s.post(func() {
		if s.ending {
			return
		}
		for _, r := range s.revisions {
			s.replace(r, "restart")
		}
	})
}

// replace replaces the replicas of r, without a lost request: a new replica starts and becomes ready, then an old one drains.
// What has failed is tried at once. Until a new replica is ready the old ones stay.
func (s *Server) replace(r *revision, why string) {
	r.forgive()
	r.version++
	if len(r.active()) > 0 {
		s.config.Screen.Line(fmt.Sprintf("%s: %s: its replicas are replaced", r.Name, why))
	}
	s.converge(r)
}

// outdated returns the active replicas that are to be replaced.
func (r *revision) outdated() []*pod {
	return slices.DeleteFunc(r.active(), func(p *pod) bool { return p.version == r.version })
}

// current returns the active replicas that need not be replaced.
func (r *revision) current() []*pod {
	return slices.DeleteFunc(r.active(), func(p *pod) bool { return p.version != r.version })
}

// endOutdated ends the outdated replicas of r that serve nothing, and those in whose stead new ones are ready. It returns how
// many replicas that aren't outdated r may have now, of target: while some are outdated, one more than are ready.
func (s *Server) endOutdated(r *revision, target int) int {
	outdated := r.outdated()
	if len(outdated) == 0 {
		return target
	}
	ready := 0
	for _, p := range r.current() {
		if p.ready {
			ready++
		}
	}
	slices.SortStableFunc(outdated, compareSurplus)
	for i, p := range outdated {
		if !p.ready || len(outdated)-i > target-ready {
			s.terminate(r, p)
		}
	}
	if len(r.outdated()) > 0 {
		return min(target, ready+1)
	}
	if ready > 0 {
		s.config.Screen.Line(r.Name + ": all replicas have been replaced")
	}
	return target
}

// extra returns how many replicas r has only while it replaces others; they don't count for -max-replicas.
func (r *revision) extra() int {
	if len(r.outdated()) > 0 && slices.ContainsFunc(r.current(), func(p *pod) bool { return !p.ready }) {
		return 1
	}
	return 0
}

// stuck returns why a replica that is to replace a ready one isn't ready; "" if it may just be starting.
func (r *revision) stuck() string {
	if len(r.outdated()) == 0 {
		return ""
	}
	why := r.failure
	for _, p := range r.current() {
		if !p.ready && (p.crashes > 0 || time.Since(p.launched) > startTime) {
			why = p.reason
		}
	}
	if why == "" {
		return ""
	}
	return "the new replica isn't ready, so the old ones stay: " + strings.TrimPrefix(why, "not ready: ")
}
