package broker

import (
	"context"
	"errors"
	"fmt"
	"reflect"
	"strings"
	"sync"
	"time"

	"go.uber.org/zap"

	"github.com/sluice-proxy/sluice/broker/internal/eventlog"
	"github.com/sluice-proxy/sluice/broker/internal/filter"
	"github.com/sluice-proxy/sluice/broker/internal/place"
	"github.com/sluice-proxy/sluice/internal/logpace"
)

const (
	// batch is how many records are read before the dispatcher looks at what else there is to do.
	batch = 64
	// never is a time that doesn't come.
	never = 365 * 24 * time.Hour
)

// dispatcher delivers a broker's events to the subscriber of a trigger.
//
// It is live when the broker's follower offers it the events that it wants. When it has no room for one, its goroutine run reads the log
// from there on, and only while it may send more events; at the end of the log it becomes live again.
//
// An event is sent by a goroutine, of which there are at most as many as the limit; each goes on with the next event that is ready, and
// ends when there is none. At most half of them send what has failed before: otherwise a subscriber that hangs for more keys than the limit
// would fill it until their last retry. A retry is an entry in a heap, and there is one timer for all of them. For a key that is blocked the
// schedule keeps a bounded number of numbers; when the key goes on, run searches the log for the others. The place knows which events are
// done, by a bit for each from the first one on that isn't.
type dispatcher struct {
	stream  *stream
	id      ID
	sender  *sender
	limit   int // of events in flight
	metrics *triggerMetrics
	logger  *zap.Logger
	place   *place.Place

	wake    chan struct{} // of one: run has something to do
	ctx     context.Context
	cancel  context.CancelFunc
	running sync.WaitGroup // run
	workers sync.WaitGroup

	dropping, losing, failing logpace.Pace

	mu       sync.Mutex
	plan     *plan
	rebuild  bool // the filter or the key is another one: what is known has to be forgotten when nothing is in flight
	stopping bool // nothing more is started
	inFlight int
	retrying int // of those in flight
	schedule schedule
	next     uint64 // all records below have been looked at
	live     bool   // the follower offers records; changed under its lock, too

	// Of run alone:

	reader *eventlog.Reader // nil: begin at next
	search *search          // nil: none is going on
}

// search looks in the log for events of keys that were blocked.
type search struct {
	reader *eventlog.Reader
	keys   map[string]*keyed
	at     uint64
}

func (d *dispatcher) poke() {
	select {
	case d.wake <- struct{}{}:
	default:
	}
}

// set replaces the trigger. A subscriber or delivery counts from the next attempt on, a filter or key when the events in flight are done: then
// the dispatcher isn't live any more, and set is true if it was. At is the follower's.
func (d *dispatcher) set(p *plan, at uint64) (left bool) {
	d.mu.Lock()
	defer d.mu.Unlock()
	old := d.plan
	d.plan = p
	if old.trigger.Key != p.trigger.Key || !reflect.DeepEqual(old.trigger.Filter, p.trigger.Filter) {
		d.rebuild = true
		left = d.leaveLocked(at)
	}
	d.poke()
	return left
}

func (d *dispatcher) current() *plan {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.plan
}

// run delivers until ctx ends.
func (d *dispatcher) run() {
	timer := time.NewTimer(never)
	defer timer.Stop()
	for d.ctx.Err() == nil {
		d.mu.Lock()
		due := d.schedule.release(time.Now())
		d.rebuildLocked()
		d.startLocked()
		wants, live := d.wantsLocked(), d.live
		d.mu.Unlock()
		if wants {
			searched := d.searchSome()
			scanned := nothing
			if !live {
				scanned = d.scan()
			}
			switch {
			case searched == offered || scanned == offered:
				continue
			case searched == failed || scanned == failed:
				due = time.Now().Add(afterError)
			case !live && !d.stream.follower.join(d): // the follower has gone on, or something has changed
				continue
			}
		}
		wait := time.Duration(never)
		if !due.IsZero() {
			wait = time.Until(due)
		}
		timer.Reset(wait)
		select {
		case <-d.ctx.Done():
		case <-d.wake:
		case <-timer.C:
		}
	}
}

// join makes the dispatcher live if it has come to where the follower is, or to anywhere if the follower is nowhere.
func (d *dispatcher) join(at uint64, anywhere bool) (next uint64, ok bool) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.live || d.rebuild || d.stopping || d.next < at && !anywhere {
		return 0, false
	}
	d.live = true
	return d.next, true
}

func (d *dispatcher) leave(at uint64) bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.leaveLocked(at)
}

// leaveLocked ends being live, and is false if the dispatcher wasn't.
func (d *dispatcher) leaveLocked(at uint64) bool {
	if !d.live {
		return false
	}
	d.passLocked(at)
	d.live = false
	d.reader = nil
	d.poke()
	return true
}

// passLocked notes that of the records up to seq, which the follower has seen, the trigger wants no more.
func (d *dispatcher) passLocked(seq uint64) {
	if d.live && seq > d.next {
		d.place.Mark(d.next, seq)
		d.next = seq
	}
}

func (d *dispatcher) pass(at uint64) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.passLocked(at)
}

func (d *dispatcher) isLive() bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.live
}

// offer takes a record that the live trigger wants, and that doesn't change any more. Without room for it the trigger is live no longer, and
// the result is false.
func (d *dispatcher) offer(p *plan, seq uint64, r *record) bool {
	key, isKeyed := d.keyOf(p, r)
	d.mu.Lock()
	defer d.mu.Unlock()
	switch {
	case seq < d.next:
		return true
	case !d.wantsLocked():
		d.leaveLocked(seq)
		return false
	}
	d.passLocked(seq)
	d.next = seq + 1
	d.schedule.admit(seq, strings.Clone(key), isKeyed, r) // a key outlives its event
	d.startLocked()
	return true
}

// wantsLocked tells whether there is room for more events.
func (d *dispatcher) wantsLocked() bool {
	return !d.stopping && !d.rebuild && d.plan.subscriber != nil && d.inFlight < d.limit && !d.schedule.full()
}

// rebuildLocked begins again with the first event that isn't done, when a filter or key has changed and nothing is in flight.
func (d *dispatcher) rebuildLocked() {
	if d.rebuild && d.inFlight == 0 {
		d.rebuild = false
		d.schedule = newSchedule()
		d.next = d.place.Low()
		d.reader, d.search = nil, nil
	}
}

// startLocked gives ready events to new goroutines.
func (d *dispatcher) startLocked() {
	for d.inFlight < d.limit {
		it := d.takeLocked()
		if it == nil {
			return
		}
		d.inFlight++
		d.metrics.inFlight.Inc()
		d.workers.Go(func() { d.work(it) })
	}
}

func (d *dispatcher) takeLocked() *item {
	if d.stopping || d.rebuild || d.plan.subscriber == nil {
		return nil
	}
	it := d.schedule.take(d.retrying < max(d.limit/2, 1))
	if it == nil {
		return nil
	}
	it.plan = d.plan
	if it.retries() {
		d.retrying++
	}
	return it
}

// scan reads events that nobody has looked at.
func (d *dispatcher) scan() progress {
	d.mu.Lock()
	p := d.plan
	if d.reader == nil {
		d.reader = d.stream.log.Reader(d.next)
	}
	d.mu.Unlock()
	for range batch {
		seq, content, err := d.reader.Next()
		if err != nil {
			return d.skip(err)
		}
		l := d.look(p, seq, content)
		if l.matches {
			l.record, l.key = l.record.clone(), strings.Clone(l.key)
		}
		d.mu.Lock()
		if seq > d.next {
			d.lostLocked(seq)
		}
		d.next = seq + 1
		if l.matches {
			d.schedule.admit(seq, l.key, l.keyed, l.record)
			d.startLocked()
		}
		wants := d.wantsLocked()
		d.mu.Unlock()
		if !l.matches {
			d.place.Mark(seq, seq+1)
			d.stream.dirty()
		}
		if !wants {
			break
		}
	}
	return offered
}

// skip handles an error of Next: records at the end of the log that can't be read are passed over.
func (d *dispatcher) skip(err error) progress {
	if !errors.Is(err, eventlog.ErrNotYet) {
		return d.unreadable(err)
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	if skipped := d.reader.Skipped(); skipped.Corrupt+skipped.Trimmed > 0 {
		d.lostLocked(d.next + skipped.Corrupt + skipped.Trimmed)
	}
	return nothing
}

// lostLocked passes over the records up to seq, which can't be read, and never will be.
func (d *dispatcher) lostLocked(seq uint64) {
	d.lost(seq - d.next)
	d.place.Mark(d.next, seq)
	d.next = seq
	d.reader.Skipped() // counts from here on
}

func (d *dispatcher) unreadable(err error) progress {
	if d.ctx.Err() == nil && !errors.Is(err, eventlog.ErrClosed) {
		d.complain("reading events", err)
	}
	return failed
}

// looked is what the dispatcher sees in a record.
type looked struct {
	matches bool // the trigger wants it, and isn't done with it
	record  *record
	key     string
	keyed   bool
}

// look parses a record. What it returns is valid as long as the content.
func (d *dispatcher) look(p *plan, seq uint64, content []byte) (l looked) {
	if d.place.Done(seq) {
		return looked{}
	}
	r, err := parseRecord(content)
	if err != nil {
		d.complain("reading an event", err)
		d.lost(1)
		return looked{}
	}
	// An expression that fails counts as false (CloudEvents SQL 1.0 §3.3).
	if l.matches, _ = p.filter.Match(&r.event); !l.matches {
		return looked{}
	}
	l.record = &r
	l.key, l.keyed = d.keyOf(p, &r)
	return l
}

// keyOf returns the key of an event, if it has one. It may be a part of the record.
func (d *dispatcher) keyOf(p *plan, r *record) (key string, isKeyed bool) {
	if p.key == nil {
		return "", false
	}
	key, err := p.key.Of(&r.event)
	if err != nil {
		if !errors.Is(err, filter.ErrNoKey) {
			d.complain("the key of an event", err)
		}
		return "", false
	}
	return shortKey(key), true
}

// searchSome searches a part of the log for events of keys that go on after having been blocked.
func (d *dispatcher) searchSome() progress {
	d.mu.Lock()
	p := d.plan
	if d.search == nil && len(d.schedule.hungry) > 0 {
		keys, from := d.schedule.search()
		d.search = &search{reader: d.stream.log.Reader(from), keys: keys, at: from}
	}
	end := d.next
	d.mu.Unlock()
	s := d.search
	if s == nil {
		return nothing
	}
	for range batch {
		if s.at >= end || len(s.keys) == 0 {
			break
		}
		seq, content, err := s.reader.Next()
		switch {
		case errors.Is(err, eventlog.ErrNotYet): // what is left up to end can't be read
			seq = end
		case err != nil:
			return d.unreadable(err)
		}
		d.place.Mark(s.at, min(seq, end)) // what is between can't be read, and never will be
		if s.at = seq + 1; seq >= end {
			break
		}
		l := d.look(p, seq, content)
		if k := s.keys[l.key]; l.matches && l.keyed && k != nil && seq >= k.more {
			d.mu.Lock()
			if !d.schedule.found(k, seq) {
				delete(s.keys, l.key)
			}
			d.startLocked()
			d.mu.Unlock()
		}
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	if s.at < d.next && len(s.keys) > 0 { // also if the follower has gone on
		return offered
	}
	for _, k := range s.keys {
		d.schedule.searched(k)
	}
	d.search = nil
	return offered
}

// work sends an event, and others that are ready after it.
func (d *dispatcher) work(it *item) {
	for it != nil {
		it = d.finish(it, d.attempt(it))
	}
}

// attempt sends an event once. An event that can't be read any more counts as sent.
func (d *dispatcher) attempt(it *item) *failure {
	p := it.plan
	if it.record == nil {
		content, err := d.stream.log.Read(it.seq, nil)
		var r record
		if err == nil {
			r, err = parseRecord(content)
		}
		switch {
		case errors.Is(err, eventlog.ErrClosed):
			return nil // finish sees that the dispatcher ends
		case err != nil:
			d.complain("reading an event", err)
			d.lost(1)
			return nil
		}
		it.record = &r
	}
	ctx, cancel := context.WithTimeout(d.ctx, p.delivery.Timeout)
	defer cancel()
	r := request{namespace: d.id.Namespace, sink: p.subscriber, event: &it.record.event, key: it.name, keyed: it.keyed, reply: true, inJSON: p.delivery.Structured}
	if it.dead != nil && p.deadLetter == nil { // not any more
		return it.dead.final()
	}
	if it.dead != nil {
		event, err := it.dead.mark(it.record.event)
		if err != nil {
			return &failure{result: resultError, sink: p.delivery.DeadLetter, data: []byte(err.Error())}
		}
		r.sink, r.event, r.reply = p.deadLetter, &event, false
	}
	trace, sent := d.startSend(it)
	r.trace = trace
	began := time.Now()
	replies, f := d.sender.send(ctx, r)
	if f == nil && len(replies) > 0 {
		f = d.stream.reply(d.ctx, it.record, replies, r.sink.String(), trace)
	}
	sent(&r, f)
	if d.ctx.Err() == nil {
		d.metrics.attempt(f, it.dead != nil, time.Since(began))
		if f == nil && it.dead == nil {
			d.metrics.latency.Observe(time.Since(it.record.arrived).Seconds())
		}
	}
	return f
}

// finish does what an attempt's result asks for, and returns the next ready event, or nil if the goroutine should end.
func (d *dispatcher) finish(it *item, f *failure) (next *item) {
	d.mu.Lock()
	defer d.mu.Unlock()
	wanted := d.wantsLocked()
	p := it.plan
	if it.retries() {
		d.retrying--
	}
	skips := it.keyed && it.dead == nil && p.trigger.SkipRetries
	switch {
	case d.ctx.Err() != nil: // the attempt may have been canceled; the event comes again after the next start
	case f == nil:
		d.doneLocked(it)
	case f.retry && it.failed < p.delivery.Retry && !skips:
		it.failed++
		d.metrics.retries.Inc()
		d.schedule.retry(it, time.Now().Add(p.delivery.backoff(it.failed, f.after)))
		d.poke() // the timer may have to be earlier
	case it.dead == nil && p.deadLetter != nil:
		it.dead, it.failed = f, 0
		if skips {
			d.schedule.detach(it)
		}
		d.schedule.again(it)
	default:
		d.dropped(it, f)
		d.doneLocked(it)
	}
	if next = d.takeLocked(); next == nil {
		d.inFlight--
		d.metrics.inFlight.Dec()
	}
	if !wanted && d.wantsLocked() || len(d.schedule.hungry) > 0 || d.rebuild || !d.schedule.ready.empty() {
		d.poke()
	}
	return next
}

func (d *dispatcher) doneLocked(it *item) {
	d.schedule.done(it)
	d.place.Mark(it.seq, it.seq+1)
	d.stream.dirty()
}

// dropped tells of an event that nobody gets.
func (d *dispatcher) dropped(it *item, f *failure) {
	d.metrics.dropped.Inc()
	if others, due := d.dropping.Due(); due {
		d.logger.Warn("an event could not be delivered and is dropped", zap.Stringer("trigger", d.id), zap.Uint64("event", it.seq),
			zap.String("sink", f.sink), zap.Int("status", f.code), zap.ByteString("reason", f.data), zap.Int("others", others))
		d.stream.server.config.Dropped(d.id, fmt.Sprintf("an event could not be delivered to %s: status %d, %q", f.sink, f.code, f.data))
	}
}

// lost counts events that can't be read any more.
func (d *dispatcher) lost(n uint64) {
	d.metrics.lost.Add(float64(n))
	if others, due := d.losing.Due(); due {
		d.logger.Warn("events were dropped from the log, or damaged, before they were delivered", zap.Stringer("trigger", d.id),
			zap.Uint64("events", n), zap.Int("others", others))
		d.stream.server.config.Dropped(d.id, fmt.Sprintf("%d of the broker's events were dropped from its log, or damaged, before they were delivered", n))
	}
}

func (d *dispatcher) complain(what string, err error) {
	if others, due := d.failing.Due(); due {
		d.logger.Error(what+" failed", zap.Stringer("trigger", d.id), zap.Error(err), zap.Int("others", others))
	}
}

// end stops the dispatcher: it starts nothing more, gives deliveries in flight a time, and then cancels them.
func (d *dispatcher) end(grace time.Duration) {
	d.mu.Lock()
	d.stopping = true
	d.mu.Unlock()
	timer := time.AfterFunc(grace, d.cancel)
	d.workers.Wait()
	timer.Stop()
	d.cancel()
	d.running.Wait()
}

// state returns what the trigger is at.
func (d *dispatcher) state() TriggerState {
	_, next := d.stream.log.Bounds()
	d.stream.follower.pass(d)
	d.mu.Lock()
	defer d.mu.Unlock()
	return TriggerState{InFlight: d.inFlight, Waiting: len(d.schedule.waiting), Keys: len(d.schedule.keys), Behind: next - min(d.place.Low(), next)}
}
