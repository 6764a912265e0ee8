package metrics

import (
	"errors"
	"sync"
	"sync/atomic"
	"time"

	"github.com/sluice-proxy/sluice/metrics/statpb"
)

// RevisionKey names a revision.
type RevisionKey struct{ Namespace, Name string }

// RevisionsConfig names the activator and says where its reports go.
type RevisionsConfig struct {
	// Pod is the name of the activator's own pod. Required.
	Pod string
	// First is called at once with a report of one request when a revision gets
	// its first request after a period without any, which starts a scale from
	// zero. It runs on the goroutine of that request and must not block. Nil: no
	// such report, and nothing is subtracted from the next one.
	First func(*statpb.WireStatMessages)
	// Observe, if not nil, is called by Report with each revision's measurement,
	// from which nothing has been subtracted. It must not block.
	Observe func(RevisionKey, Report)
}

// Validate reports the first field that can't be used.
func (c RevisionsConfig) Validate() error {
	if c.Pod == "" {
		return errors.New("metrics: RevisionsConfig.Pod is empty")
	}
	return nil
}

// Revisions keeps an activator's statistics per revision. A revision is known
// from its first request until a period has passed without any. The Stats have
// no timestamp: the autoscaler counts them for the second in which they arrive,
// so that a difference between two machines' clocks does no harm.
//
// Methods may be called concurrently. Start takes a read lock; adding and
// dropping a revision take the write lock for a map access.
type Revisions struct {
	config RevisionsConfig

	mu    sync.RWMutex
	byKey map[RevisionKey]*RevisionLoad
}

// NewRevisions returns an empty set, or the error of Validate.
func NewRevisions(c RevisionsConfig) (*Revisions, error) {
	if err := c.Validate(); err != nil {
		return nil, err
	}
	return &Revisions{config: c, byKey: map[RevisionKey]*RevisionLoad{}}, nil
}

// Start counts a request of the revision that arrives at now. The request
// calls End on what it got, once.
func (r *Revisions) Start(key RevisionKey, now time.Time) *RevisionLoad {
	r.mu.RLock()
	s := r.byKey[key]
	if s != nil {
		// Under the read lock, so that Report can't drop s in between.
		s.conc.Start(now, false)
	}
	r.mu.RUnlock()
	if s != nil {
		return s
	}
	return r.startFirst(key, now)
}

func (r *Revisions) startFirst(key RevisionKey, now time.Time) *RevisionLoad {
	r.mu.Lock()
	s, known := r.byKey[key]
	if !known {
		s = &RevisionLoad{key: key, conc: Concurrency{start: now, last: now}}
		s.early.Store(r.config.First != nil)
		r.byKey[key] = s
	}
	s.conc.Start(now, false)
	r.mu.Unlock()
	if !known && r.config.First != nil {
		r.config.First(&statpb.WireStatMessages{Messages: []*statpb.WireStatMessage{{
			Namespace: key.Namespace,
			Name:      key.Name,
			Stat:      &statpb.Stat{PodName: r.config.Pod, AverageConcurrentRequests: 1, RequestCount: 1},
		}}})
	}
	return s
}

// End counts the departure of a request of the revision, for callers that kept
// only the key. An unknown revision is ignored.
func (r *Revisions) End(key RevisionKey, now time.Time) {
	r.mu.RLock()
	s := r.byKey[key]
	r.mu.RUnlock()
	if s != nil {
		s.End(now)
	}
}

// Report ends the period of every known revision at now and returns one
// message with all of them, in no order, or nil when there are none. It is
// meant to be called once a second: its counts are requests since the last
// call. A revision without a request in the period is reported with zeros and
// dropped. What First has reported already is subtracted.
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
		m, early := s.conc.Report(now), 0.0
		if s.early.Swap(false) {
			early = 1
		}
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
		if r.byKey[s.key] == s && s.conc.untouched() {
			delete(r.byKey, s.key)
		}
	}
}

// Len is the number of revisions known.
func (r *Revisions) Len() int {
	r.mu.RLock()
	defer r.mu.RUnlock()
	return len(r.byKey)
}

// RevisionLoad is one revision's part of Revisions, held by a request from Start to End.
type RevisionLoad struct {
	key   RevisionKey
	conc  Concurrency
	early atomic.Bool // RevisionsConfig.First has reported a request of this period
}

// End counts the departure of a request that Start returned s for.
func (s *RevisionLoad) End(now time.Time) { s.conc.End(now, false) }

// Key is the revision that s belongs to.
func (s *RevisionLoad) Key() RevisionKey { return s.key }

// InFlight is the number of the revision's requests that have not ended.
func (s *RevisionLoad) InFlight() int { return s.conc.InFlight() }
