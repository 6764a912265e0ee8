package throttler

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"pgregory.net/rapid"
)

// keyMachine makes requests with keys, most of which take turns, and looks at the whole state after every step.
type keyMachine struct {
	t       *Throttler
	id      RevisionID
	pending []*keyed // with a turn, not ended; in order of arrival
	epochs  map[uint64]epochs
}

// epochs is what a pod would have seen of a key.
type epochs struct {
	pod  string
	last int64
}

// keyed is a request that takes turns.
type keyed struct {
	key   uint64
	turn  Turn
	place *Place
	woken bool
	lease Lease
	holds bool
}

func TestTurnsAgainstInvariants(t *testing.T) {
	checkInBubble(t, func(t *rapid.T) {
		th, err := New(Config{MaxWaiting: 30})
		if err != nil {
			t.Fatal(err)
		}
		m := &keyMachine{t: th, id: RevisionID{"default", "keys"}, epochs: map[uint64]epochs{}}
		m.setBackends(t)
		m.t.SetRevision(m.id, RevisionConfig{})
		defer func() {
			m.t.DeleteRevision(m.id)
			synctest.Wait()
		}()
		t.Repeat(map[string]func(*rapid.T){
			"request":      m.request,
			"one more":     m.request,
			"release":      m.release,
			"release too":  m.release,
			"end":          m.end,
			"end too":      m.end,
			"give up":      m.giveUp,
			"plain":        m.plain,
			"set backends": m.setBackends,
			"sleep": func(t *rapid.T) {
				time.Sleep(time.Duration(rapid.SampledFrom([]int{1, 60, 200, 11_000}).Draw(t, "ms")) * time.Millisecond)
			},
			"": m.check,
		})
	})
}

func (m *keyMachine) setBackends(t *rapid.T) {
	all := backends.Draw(t, "all")
	for i := range all {
		all[i].Slots = min(all[i].Slots, 2)
	}
	m.t.SetBackends(m.id, all)
}

func (m *keyMachine) demand(t *rapid.T, k *keyed) Demand {
	return Demand{
		Revision: m.id, Key: k.key, Turn: &k.turn, Avoid: notIDs.Draw(t, "not"),
		NoSpillover: rapid.IntRange(0, 4).Draw(t, "no spillover") == 0,
	}
}

func (m *keyMachine) request(t *rapid.T) {
	k := &keyed{key: uint64(rapid.IntRange(1, 3).Draw(t, "key"))}
	m.queue(t, k, m.demand(t, k))
}

func (m *keyMachine) queue(t *rapid.T, k *keyed, d Demand) {
	l, place, err := m.t.Queue(d, func() { k.woken = true })
	switch {
	case err != nil:
		if !errors.Is(err, ErrQueueFull) {
			t.Fatal(err)
		}
		k.turn.End()
		m.pending = slices.DeleteFunc(m.pending, func(o *keyed) bool { return o == k })
		return
	case place == nil:
		m.got(t, k, l)
	default:
		k.place, k.woken = place, false
	}
	if !slices.Contains(m.pending, k) {
		m.pending = append(m.pending, k)
	}
}

func (m *keyMachine) got(t *rapid.T, k *keyed, l Lease) {
	k.lease, k.holds, k.place = l, true, nil
	seen := m.epochs[k.key]
	if moved := seen.pod != l.ID(); l.KeyEpoch() < seen.last || moved && l.KeyEpoch() == seen.last {
		t.Fatalf("key %d: epoch %d on %s, after %d on %s", k.key, l.KeyEpoch(), l.ID(), seen.last, seen.pod)
	}
	m.epochs[k.key] = epochs{l.ID(), l.KeyEpoch()}
}

func (m *keyMachine) some(t *rapid.T, is func(*keyed) bool) *keyed {
	var those []*keyed
	for _, k := range m.pending {
		if is(k) {
			those = append(those, k)
		}
	}
	if len(those) == 0 {
		return nil
	}
	return rapid.SampledFrom(those).Draw(t, "request")
}

// release ends an attempt; the request is tried again, or ended later.
func (m *keyMachine) release(t *rapid.T) {
	k := m.some(t, func(k *keyed) bool { return k.holds })
	if k == nil {
		return
	}
	o := rapid.SampledFrom([]Outcome{OK, OK, Unused, Busy, DialFailed}).Draw(t, "outcome")
	k.lease.Release(o)
	k.holds = false
	m.settle(t)
	if o != OK {
		m.queue(t, k, m.demand(t, k))
	}
}

func (m *keyMachine) end(t *rapid.T) {
	k := m.some(t, func(k *keyed) bool { return k.place == nil })
	if k == nil {
		return
	}
	if k.holds {
		k.lease.Release(OK)
	}
	m.pending = slices.DeleteFunc(m.pending, func(o *keyed) bool { return o == k })
	k.turn.End()
}

func (m *keyMachine) giveUp(t *rapid.T) {
	k := m.some(t, func(k *keyed) bool { return k.place != nil })
	if k == nil {
		return
	}
	if l, err := k.place.Leave(context.Canceled); err == nil {
		t.Fatalf("%v: not settled", l)
	}
	m.pending = slices.DeleteFunc(m.pending, func(o *keyed) bool { return o == k })
	k.turn.End()
}

// plain is a request without a key, which takes the slot of whom it finds.
func (m *keyMachine) plain(*rapid.T) {
	if l, ok, _ := m.t.TryAcquire(Demand{Revision: m.id}); ok {
		l.Release(OK)
	}
}

// settle takes the leases that requests have been given.
func (m *keyMachine) settle(t *rapid.T) {
	synctest.Wait()
	for _, k := range m.pending {
		if k.place == nil || !k.woken {
			continue
		}
		l, err := k.place.Leave(context.Canceled)
		if err != nil {
			t.Fatal(err)
		}
		m.got(t, k, l)
	}
}

func (m *keyMachine) check(t *rapid.T) {
	m.settle(t)
	first := map[uint64]*keyed{}
	for _, k := range m.pending {
		if of := first[k.key]; of == nil {
			first[k.key] = k
		} else if k.holds {
			t.Fatalf("key %d: a request overtook another", k.key)
		}
	}
	r := m.t.find(m.id)
	r.mu.Lock()
	defer r.mu.Unlock()
	if err := r.checkTurnsLocked(); err != nil {
		t.Fatal(err)
	}
}

// checkTurnsLocked compares what the queue and the ring remember with what is.
func (r *revision) checkTurnsLocked() error {
	q, ring := &r.queue, &r.free.ring
	fronts, waiting, waits, load, waitable := q.homeless.n, 0, 0, 0, 0
	for _, key := range r.keys.byKey {
		waiting += key.line.n
		waits += key.waits
		if key.line.n > 0 && key.turn == nil {
			return fmt.Errorf("key %d: it is nobody's turn, and %d wait", key.key, key.line.n)
		}
	}
	for _, p := range r.list.pods {
		if p.line.n > 0 && (!p.lined || !p.waitable()) {
			return fmt.Errorf("%s: %d wait for it; lined %v, waitable %v", p.ID, p.line.n, p.lined, p.waitable())
		}
		if p.line.n > 0 && p.usable() && p.hasRoom() {
			return fmt.Errorf("%s has room, and %d wait for it", p.ID, p.line.n)
		}
		if p.onRing != (ring.on && p.listed) {
			return fmt.Errorf("%s: listed %v, on the ring %v", p.ID, p.listed, p.onRing)
		}
		if p.onRing {
			load += p.load()
		}
		if p.waitable() {
			waitable++
		}
		fronts += p.line.n
	}
	switch {
	case fronts != q.fronts || fronts+waiting != q.inTurn:
		return fmt.Errorf("%d fronts and %d others, counted as %d of %d", fronts, waiting, q.fronts, q.inTurn)
	case waits != q.inTurn:
		return fmt.Errorf("%d wait, counted by their keys as %d", q.inTurn, waits)
	case ring.on && waitable != ring.usable:
		return fmt.Errorf("%d pods to wait for, counted as %d", waitable, ring.usable)
	case load != ring.load:
		return fmt.Errorf("a load of %d, counted as %d", load, ring.load)
	case q.homeless.n > 0 && r.count.ownReady > r.count.ownEjected:
		return fmt.Errorf("%d homeless, and pods to wait for", q.homeless.n)
	}
	if waitable > 0 && ring.on && !ring.stale {
		for i, p := range ring.places {
			if p.pod.place != i {
				return fmt.Errorf("%s is not at its place", p.pod.ID)
			}
		}
	}
	return nil
}
