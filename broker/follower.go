package broker

import (
	"errors"
	"slices"
	"sync"
	"time"

	"github.com/sluice-proxy/sluice/broker/internal/eventlog"
	"github.com/sluice-proxy/sluice/broker/internal/filter"
)

// afterError is when reading is tried again after the file system has failed.
const afterError = time.Second

// follower reads the end of a log once for all triggers that have come to it, so that an event costs what the triggers cost that want it, and not
// what all of them do. A trigger that has no room for an event leaves, reads the log by itself when it has, and joins again at the end:
//
//	log: … ─────────────────────────► end
//	          ▲ own Reader              ▲ follower ──offer──► live triggers
//	          a trigger that is behind ─────join──►
//
// Its lock is taken before dispatcher.mu, and held while a record is read, which is in memory as a rule: it was written just before.
type follower struct {
	log      *eventlog.Log
	complain func(error)
	wake     chan struct{} // of one: a trigger has joined

	mu      sync.Mutex
	at      uint64 // all records below have been offered to the live triggers
	reader  *eventlog.Reader
	members []*dispatcher // all triggers, live or not
	live    int           // how many are
	set     *filter.Set   // of the members' filters; nil: has to be made
	plans   []*plan       // whose filters the set has
	matches []filter.Match
}

func newFollower(log *eventlog.Log, complain func(error)) *follower {
	return &follower{log: log, complain: complain, wake: make(chan struct{}, 1)}
}

// add takes a trigger as a member, which isn't live yet.
func (f *follower) add(d *dispatcher) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.members = append(f.members, d)
	f.set = nil
}

// remove takes a trigger out.
func (f *follower) remove(d *dispatcher) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.members = slices.DeleteFunc(f.members, func(m *dispatcher) bool { return m == d })
	f.set = nil
	if d.leave(f.at) {
		f.live--
	}
}

// change sets the plan of a member.
func (f *follower) change(d *dispatcher, p *plan) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.set = nil
	if d.set(p, f.at) {
		f.live--
	}
}

// pass has a trigger note that it didn't want what it was not offered.
func (f *follower) pass(d *dispatcher) {
	f.mu.Lock()
	defer f.mu.Unlock()
	d.pass(f.at)
}

// join makes a trigger live that has come to the end of the log. It is false for one that hasn't.
func (f *follower) join(d *dispatcher) bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	next, ok := d.join(f.at, f.live == 0)
	if !ok {
		return false
	}
	if f.live == 0 {
		f.reader = f.log.Reader(next)
		f.at = next
		select {
		case f.wake <- struct{}{}:
		default:
		}
	}
	f.live++
	return true
}

// run follows the log until ending is closed.
func (f *follower) run(ending <-chan struct{}) {
	for {
		more := f.log.Appended() // before the log is read, so that nothing is missed
		var again <-chan time.Time
		switch f.offer() {
		case offered:
			continue
		case nobody:
			more = nil
		case failed:
			again = time.After(afterError)
		}
		select {
		case <-more:
		case <-again:
		case <-f.wake:
		case <-ending:
			return
		}
	}
}

// progress is what came of reading the log.
type progress int

const (
	nothing progress = iota // there is nothing to be read
	offered                 // records were read
	nobody                  // nobody wants to read
	failed                  // it can't be read
)

// offer reads a record and offers it to the live triggers that want it.
func (f *follower) offer() progress {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.live == 0 {
		f.reader = nil
		return nobody
	}
	seq, content, err := f.reader.Next()
	switch {
	case errors.Is(err, eventlog.ErrNotYet), errors.Is(err, eventlog.ErrClosed):
		return nothing
	case err != nil:
		f.complain(err)
		return failed
	}
	if f.set == nil {
		f.makeSet()
	}
	if r, err := parseRecord(content); err != nil {
		f.complain(err)
	} else {
		f.matches = f.set.Match(&r.event, f.matches[:0])
		var shared *record // by all that want it: the Reader reads the next one into the same bytes
		for _, m := range f.matches {
			d := f.members[m.Index]
			if !m.Passes || !d.isLive() {
				continue
			}
			if shared == nil {
				shared = r.clone()
			}
			if !d.offer(f.plans[m.Index], seq, shared) {
				f.live--
			}
		}
	}
	f.at = seq + 1
	return offered
}

func (f *follower) makeSet() {
	filters := make([]*filter.Filter, len(f.members))
	f.plans = make([]*plan, len(f.members))
	for i, d := range f.members {
		f.plans[i] = d.current()
		filters[i] = f.plans[i].filter
	}
	f.set = filter.NewSet(filters)
}
