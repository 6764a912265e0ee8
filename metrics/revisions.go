package metrics

import (
	"errors"
	"sync"
	"time"

	"github.com/sluice-proxy/sluice/metrics/statpb"
)

// RevisionKey names a revision.
type RevisionKey struct{ Namespace, Name string }

// RevisionsConfig says who reports and to whom.
type RevisionsConfig struct {
	// Pod is the name of the activator's own pod. Required.
	Pod string
	// First receives, at once, the report of the first request of a revision
	// that was not in the last period: it starts a scale from zero. It runs
	// on the goroutine of that request and must not block. Nil: no such
	// report, and nothing is subtracted from the next one.
	First func(*statpb.WireStatMessages)
	// Observe, if not nil, sees each revision's measurement during Report, as
	// measured, with nothing subtracted. It must not block.
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
// no timestamp: the autoscaler books them when they arrive, so that a skew
// between two machines' clocks does no harm.
//
// Methods may be called concurrently. Start takes a read lock, which a new or
// a forgotten revision takes for writing for the length of a map access.
type Revisions struct {
	config RevisionsConfig
	mu     sync.RWMutex
	byKey  map[RevisionKey]*RevisionLoad
}

// NewRevisions returns an empty set, or the error of Validate.
func NewRevisions(c RevisionsConfig) (*Revisions, error) {
	if err := c.Validate(); err != nil {
		return nil, err
	}
	return &Revisions{config: c, byKey: map[RevisionKey]*RevisionLoad{}}, nil
}

// RevisionLoad is one revision's part of Revisions, held by a request from
// Start to End.
type RevisionLoad struct {
	key   RevisionKey
	conc  Concurrency
	early float64 // already told by First; guarded by conc.mu
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
		s = &RevisionLoad{key: key}
		s.conc.start, s.conc.last = now, now
		if r.config.First != nil {
			s.early = 1
		}
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

// End counts the departure of a request that Start returned s for.
func (s *RevisionLoad) End(now time.Time) { s.conc.End(now, false) }

// Key is the revision that s belongs to.
func (s *RevisionLoad) Key() RevisionKey { return s.key }

// InFlight is the number of the revision's requests that have not ended.
func (s *RevisionLoad) InFlight() int { return s.conc.InFlight() }

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

// Len is the number of revisions known.
func (r *Revisions) Len() int {
	r.mu.RLock()
	defer r.mu.RUnlock()
	return len(r.byKey)
}
