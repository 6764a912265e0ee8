package broker

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"go.uber.org/zap"

	"github.com/sluice-proxy/sluice/broker/internal/eventlog"
	"github.com/sluice-proxy/sluice/broker/internal/place"
	"github.com/sluice-proxy/sluice/internal/cloudevent"
	"github.com/sluice-proxy/sluice/internal/durable"
	"github.com/sluice-proxy/sluice/internal/logpace"
)

const (
	// flushEvery is how long marks of what is done are collected before they are written. Those of this time are lost when the process
	// is killed: their events are delivered again.
	flushEvery = 50 * time.Millisecond
	// passEvery is how often it is noted which records live triggers did not want, which is a write for each of them.
	passEvery = time.Second
	// logName and placesName are the directories in that of a broker.
	logName, placesName = "log", "places"
	// attributeBytes is how much longer than its body an event may be in the log.
	attributeBytes = 128 << 10
)

// stream is a broker at work: its log, and the dispatchers of its triggers. Its goroutine keep writes their places and trims the log, its follower
// gives them new events.
type stream struct {
	id       ID
	dir      string // with the log, and the places by the names of triggers
	server   *Server
	log      *eventlog.Log
	follower *follower
	metrics  *brokerMetrics
	failing  logpace.Pace

	flushing sync.Mutex // held while places are written or closed
	passed   time.Time  // when it was noted last what live triggers did not want; guarded by flushing

	dirtied chan struct{}  // of one: keep has something to do
	ending  chan struct{}  // closed to end keep and the follower
	running sync.WaitGroup // both

	mu          sync.Mutex
	broker      Broker
	dispatchers map[string]*dispatcher
	unset       map[string]*place.Place // of triggers that are known from the directory alone; their events are kept
}

func (s *stream) logDir() string             { return filepath.Join(s.dir, logName) }
func (s *stream) placeDir() string           { return filepath.Join(s.dir, placesName) }
func (s *stream) placeOf(name string) string { return filepath.Join(s.placeDir(), name) }

// openStream opens what a broker has on disk, or creates it.
func (s *Server) openStream(b Broker) (_ *stream, err error) {
	st := &stream{
		id: b.ID, dir: s.dirOf(b.ID), server: s, broker: b, dispatchers: map[string]*dispatcher{}, unset: map[string]*place.Place{},
		dirtied: make(chan struct{}, 1), ending: make(chan struct{}),
	}
	record := s.config.MaxEventBytes + attributeBytes
	config := eventlog.Config{MaxBytes: s.config.MaxLogBytes, MaxAge: s.config.MaxLogAge, MaxRecord: record}
	if config.MaxBytes > 0 {
		config.MaxBytes = max(config.MaxBytes, 8*int64(record))
	}
	config.SegmentBytes = max(64<<20, 4*int64(record))
	if config.MaxBytes > 0 {
		config.SegmentBytes = min(config.SegmentBytes, config.MaxBytes/4)
	}
	log, recovery, err := eventlog.Open(st.logDir(), config)
	if err != nil {
		return nil, err
	}
	for _, p := range recovery.Problems {
		s.config.Logger.Warn("the log of a broker is damaged", zap.Stringer("broker", b.ID), zap.String("problem", p))
	}
	st.log = log
	if err = durable.MkdirAll(st.placeDir()); err == nil {
		err = st.openPlaces()
	}
	if err != nil {
		for _, p := range st.unset {
			p.Close()
		}
		return nil, errors.Join(err, log.Close())
	}
	st.metrics = s.metrics.broker(b.ID)
	st.follower = newFollower(log, st.unreadable)
	st.running.Go(st.keep)
	st.running.Go(func() { st.follower.run(st.ending) })
	st.dirty()
	return st, nil
}

// openPlaces opens the places of all triggers that the directory knows.
func (s *stream) openPlaces() error {
	entries, err := os.ReadDir(s.placeDir())
	if err != nil {
		return err
	}
	first, next := s.log.Bounds()
	for _, e := range entries {
		path := s.placeOf(e.Name())
		if strings.HasPrefix(e.Name(), ".") { // one that was being written
			if err := os.Remove(path); err != nil {
				return err
			}
			continue
		}
		p, err := place.Open(path, next)
		if errors.Is(err, place.ErrDamaged) {
			s.server.config.Logger.Warn("the place of a trigger in its broker's log is damaged: all events that are still there are delivered again",
				zap.Stringer("trigger", ID{s.id.Namespace, e.Name()}), zap.Error(err))
			p, err = place.Create(path, first)
		}
		if err != nil {
			return err
		}
		s.unset[e.Name()] = p
	}
	return nil
}

// set starts a trigger where it was, or at the end of the log if it is a new one, or changes one that is running.
func (s *stream) set(t Trigger) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	p, err := t.compile(s.broker.Delivery)
	if err != nil {
		return err
	}
	if d := s.dispatchers[t.Name]; d != nil {
		s.follower.change(d, p)
		return nil
	}
	at := s.unset[t.Name]
	if at == nil {
		_, next := s.log.Bounds()
		if at, err = place.Create(s.placeOf(t.Name), next); err != nil {
			return fmt.Errorf("trigger %v: %w", t.ID, err)
		}
	}
	delete(s.unset, t.Name)
	s.dispatchers[t.Name] = s.start(p, at)
	return nil
}

func (s *stream) start(p *plan, at *place.Place) *dispatcher {
	ctx, cancel := context.WithCancel(context.Background())
	d := &dispatcher{
		stream: s, id: p.trigger.ID, sender: &s.server.sender, limit: s.server.config.MaxInFlight, logger: s.server.config.Logger,
		metrics: s.server.metrics.trigger(s.id, p.trigger.ID), place: at, plan: p, schedule: newSchedule(),
		wake: make(chan struct{}, 1), ctx: ctx, cancel: cancel, next: at.Low(),
	}
	s.follower.add(d)
	d.running.Go(d.run)
	return d
}

// setBroker changes the broker's own delivery, for triggers that have none.
func (s *stream) setBroker(b Broker) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.broker = b
	for _, d := range s.dispatchers {
		p, err := d.current().trigger.compile(b.Delivery)
		if err != nil {
			return err
		}
		s.follower.change(d, p)
	}
	return nil
}

// delete ends a trigger and forgets its place.
func (s *stream) delete(name string) error {
	s.mu.Lock()
	d, at := s.dispatchers[name], s.unset[name]
	delete(s.dispatchers, name)
	delete(s.unset, name)
	s.mu.Unlock()
	if d != nil {
		s.follower.remove(d)
		d.end(0)
		at = d.place
		s.server.metrics.forgetTrigger(s.id, d.id)
	}
	if at == nil {
		return nil
	}
	s.flushing.Lock()
	defer s.flushing.Unlock()
	err := errors.Join(at.Close(), os.Remove(s.placeOf(name)))
	s.dirty()
	return err
}

// deleteUnset forgets the places of triggers that nobody has set.
func (s *stream) deleteUnset() error {
	s.mu.Lock()
	var names []string
	for name := range s.unset {
		names = append(names, name)
	}
	s.mu.Unlock()
	var errs []error
	for _, name := range names {
		errs = append(errs, s.delete(name))
	}
	return errors.Join(errs...)
}

// append stores events, of which it makes records. They are durable when it returns.
func (s *stream) append(ctx context.Context, records ...record) error {
	buf := s.server.buffers.get()
	defer s.server.buffers.put(buf) // Append has copied what it appends
	ends := make([]int, len(records))
	for i := range records {
		*buf = records[i].appendTo(*buf)
		ends[i] = len(*buf)
	}
	contents := make([][]byte, len(records))
	begin := 0
	for i, end := range ends {
		contents[i] = (*buf)[begin:end]
		begin = end
	}
	_, err := s.log.Append(ctx, contents...)
	s.dirty()
	if err != nil && ctx.Err() == nil && !errors.Is(err, eventlog.ErrTooLarge) && !errors.Is(err, eventlog.ErrClosed) {
		s.complain("events can't be stored, and are not taken", err)
	}
	return err
}

// reply stores events that a sink has replied with. They continue the trace of the attempt, unless they have one of their own (Knative broker
// specification, "Observability"). When the TTL doesn't suffice it fails as Knative's ingress does.
func (s *stream) reply(ctx context.Context, to *record, events []cloudevent.Event, sink string, trace TraceContext) *failure {
	ttl := to.replyTTL(len(events))
	if ttl == 0 {
		return &failure{
			result: resultReply, sink: sink, code: http.StatusBadRequest,
			data: fmt.Appendf(nil, "the reply of %d events is dropped: the chain of replies would be longer than %d events, of which "+
				"a batch counts as %d for each time that it doubles their number", len(events), defaultTTL, doubling),
		}
	}
	records, spans := make([]record, len(events)), make([]Span, len(events))
	now := time.Now()
	for i := range events {
		records[i] = record{arrived: now, ttl: ttl}
		records[i].trace, spans[i] = s.receive(&events[i], cmp.Or(traceOfEvent(&events[i]), trace))
		records[i].event = events[i]
	}
	err := s.append(ctx, records...)
	s.received(spans, records, err)
	if err != nil {
		s.metrics.events(storeResult(err)).Add(float64(len(events)))
		return &failure{result: resultReply, sink: sink, code: http.StatusInternalServerError, data: []byte(told(err).Error()), retry: true}
	}
	s.metrics.replies.Add(float64(len(events)))
	return nil
}

// dirty has keep write what is new.
func (s *stream) dirty() {
	select {
	case s.dirtied <- struct{}{}:
	default:
	}
}

// keep writes places, from time to time while they change.
func (s *stream) keep() {
	for {
		select {
		case <-s.dirtied:
		case <-s.ending:
			return
		}
		select {
		case <-time.After(flushEvery):
		case <-s.ending:
		}
		s.flush()
	}
}

// flush writes all places, and trims the log to the lowest.
func (s *stream) flush() {
	s.flushing.Lock()
	defer s.flushing.Unlock()
	pass := time.Since(s.passed) >= passEvery
	if pass {
		s.passed = time.Now()
	}
	s.mu.Lock()
	places := make([]*place.Place, 0, len(s.dispatchers)+len(s.unset))
	for _, d := range s.dispatchers {
		if pass {
			s.follower.pass(d)
		}
		places = append(places, d.place)
	}
	for _, p := range s.unset {
		places = append(places, p)
	}
	first, low := s.log.Bounds() // with no trigger nobody needs what is there
	s.mu.Unlock()
	for _, p := range places {
		p.Mark(0, first)
		low = min(low, p.Low())
		if err := p.Flush(); err != nil {
			s.complain("a trigger's place can't be written: after a crash it gets events again", err)
			s.dirty()
		}
	}
	s.log.TrimTo(low)
}

// unreadable reports errors of the follower.
func (s *stream) unreadable(err error) { s.complain("reading events failed", err) }

func (s *stream) complain(what string, err error) {
	if others, due := s.failing.Due(); due {
		s.server.config.Logger.Error(what, zap.Stringer("broker", s.id), zap.Error(err), zap.Int("others", others))
	}
}

// end stops all dispatchers, gives deliveries in flight a time, and closes the files.
func (s *stream) end(grace time.Duration) error {
	s.mu.Lock()
	dispatchers, unset := s.dispatchers, s.unset // which nobody changes any more; the log must not be trimmed without them
	s.mu.Unlock()
	var ended sync.WaitGroup
	for _, d := range dispatchers {
		s.follower.remove(d)
		ended.Go(func() { d.end(grace) })
	}
	ended.Wait()
	close(s.ending)
	s.running.Wait()
	var errs []error
	for _, d := range dispatchers {
		errs = append(errs, d.place.Close())
	}
	for _, p := range unset {
		errs = append(errs, p.Close())
	}
	return errors.Join(append(errs, s.log.Close())...)
}
