package metrics

import (
	"time"

	"github.com/sluice-proxy/sluice/metrics/statpb"
)

// Report ends the period of every known revision at now and returns one
// message with all of them, in no order, or nil when there are none. It is
// meant to be called once a second: its counts are requests since the last
// call. A revision without a request in the period is reported with zeros and
// dropped. What First has told already is subtracted.
func (r *Revisions) Report(now time.Time) *statpb.WireStatMessages {
	all := r.snapshot()
	if len(all) == 0 {
		return nil
	}
	// Two slabs instead of two allocations for each of thousands of revisions.
	stats := make([]statpb.Stat, len(all))
	wires := make([]statpb.WireStatMessage, len(all))
	out := &statpb.WireStatMessages{Messages: make([]*statpb.WireStatMessage, len(all))}
	var idle []*RevisionLoad
	for i, s := range all {
		m, early := s.report(now)
		if r.config.Observe != nil {
			r.config.Observe(s.key, m)
		}
		if m.idle() {
			idle = append(idle, s)
		}
		stats[i].PodName = r.config.Pod
		stats[i].AverageConcurrentRequests = max(m.Concurrency-early, 0)
		stats[i].RequestCount = max(m.Requests-early, 0)
		wires[i].Namespace, wires[i].Name, wires[i].Stat = s.key.Namespace, s.key.Name, &stats[i]
		out.Messages[i] = &wires[i]
	}
	r.drop(idle)
	return out
}

func (r *Revisions) snapshot() []*RevisionLoad {
	r.mu.RLock()
	defer r.mu.RUnlock()
	all := make([]*RevisionLoad, 0, len(r.byKey))
	for _, s := range r.byKey {
		all = append(all, s)
	}
	return all
}

// drop forgets those that no request has come to since they were reported.
func (r *Revisions) drop(idle []*RevisionLoad) {
	if len(idle) == 0 {
		return
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, s := range idle {
		// A second Report at the same time may have dropped it, and a request
		// may have made a new one of the same name.
		if r.byKey[s.key] == s && s.untouched() {
			delete(r.byKey, s.key)
		}
	}
}

func (s *RevisionLoad) report(now time.Time) (m Report, early float64) {
	m = s.conc.Report(now)
	s.conc.mu.Lock()
	early, s.early = s.early, 0
	s.conc.mu.Unlock()
	return m, early
}

func (s *RevisionLoad) untouched() bool {
	s.conc.mu.Lock()
	defer s.conc.mu.Unlock()
	return s.conc.inFlight == 0 && s.conc.all.requests == 0 && s.conc.all.area == 0
}

// idle says that nothing was in flight at any time of the period.
func (r Report) idle() bool { return r.Requests == 0 && r.Concurrency == 0 }
