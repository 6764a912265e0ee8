package activator

import (
	"sync"
	"time"

	"github.com/sluice-proxy/sluice/internal/logpace"
	"go.uber.org/zap"
)

// patience is how long requests wait for a pod before the log says why there is none: longer than a pod takes to become
// usable once it is listed, and short for a person who waits.
const patience = time.Second

// shortage is the time in which requests wait for a revision that has no pod to use. One timer serves all of them.
type shortage struct {
	of   *tracked
	pace logpace.Pace // of the lines that say why the revision can't serve

	mu      sync.Mutex
	spell   uint64 // counts the times in which requests have waited
	waiting int
	long    bool        // it has lasted for patience: each request that comes counts
	timer   *time.Timer // nil: no request waits
}

// begin counts a request that begins to wait while the revision has no pod to use; it needs one end.
func (s *shortage) begin() {
	s.mu.Lock()
	s.waiting++
	if s.timer == nil {
		s.spell++
		spell := s.spell
		s.timer = time.AfterFunc(patience, func() { s.report(spell) })
	}
	long := s.long
	s.mu.Unlock()
	if long {
		s.count(s.of.trouble(), 1)
	}
}

// end is the end of that wait. It returns whether the request has been counted.
func (s *shortage) end() (counted bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	counted = s.long
	if s.waiting--; s.waiting == 0 {
		s.timer.Stop()
		s.timer, s.long = nil, false
	}
	return counted
}

// report is called when requests have waited for patience, and then from time to time.
func (s *shortage) report(spell uint64) {
	s.mu.Lock()
	if s.timer == nil || s.spell != spell { // the wait has ended meanwhile
		s.mu.Unlock()
		return
	}
	waiting, first := s.waiting, !s.long
	s.long = true
	s.timer.Reset(logpace.Every)
	s.mu.Unlock()

	tr := s.of.trouble()
	if first {
		s.count(tr, waiting)
	}
	s.log(tr)
}

func (s *shortage) count(tr trouble, requests int) {
	if sp := s.of.spec.Load(); sp != nil && sp.collectors != nil && tr.cause != noCause {
		sp.collectors.AddUnavailable(tr.cause.String(), requests)
	}
}

// log writes the line of the log, if one is due.
func (s *shortage) log(tr trouble) {
	if tr.cause == noCause {
		return
	}
	others, due := s.pace.Due()
	if !due {
		return
	}
	fields := []zap.Field{
		zap.Stringer("revision", s.of.id), zap.Stringer("cause", tr.cause), zap.String("why", tr.sentence),
		zap.Int32("waiting", s.of.demand.waiting.Load()), zap.Int("suppressed", others),
	}
	if tr.pod.Addr != "" {
		fields = append(fields, zap.String("pod", tr.pod.called()), zap.String("address", tr.pod.Addr))
	}
	if tr.answer != "" {
		fields = append(fields, zap.String("answer", tr.answer))
	}
	s.of.a.log.Info("a revision can't serve", fields...)
}
