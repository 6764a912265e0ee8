package standalone

import (
	"time"

	"github.com/sluice-proxy/sluice/internal/standalone/autoscaler"
)

// ScaleToZero ends all replicas now, except those that requests and min-scale need. It is safe for concurrent use.
func (s *Server) ScaleToZero() {
	s.post(func() {
		if s.ending {
			return
		}
		s.config.Screen.Line("sluice: scaled to zero, except for what requests and min-scale need")
		for _, r := range s.revisions {
			if r.warm && r.source == nil {
				s.zero(r, time.Now())
			}
		}
	})
}

// zero forgets the load of r, so that nothing but present requests and min-scale needs a replica.
func (s *Server) zero(r *revision, now time.Time) {
	spec := r.scaler.Spec()
	spec.Initial = 0
	r.scaler = autoscaler.New(spec, now)
	r.report, r.forgotten = report{}, now.Add(reportAge)
	s.scale(r, now)
}
