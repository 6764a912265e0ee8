package throttler

import (
	"context"
	"errors"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"pgregory.net/rapid"
)

// machine drives a Throttler and its model side by side.
type machine struct {
	model
	t      *Throttler
	id     RevisionID
	total  Config
	ended  []Lease
	weight []Outcome // what leases end with, the likely ones more than once
	double uint64
}

func TestThrottlerAgainstModel(t *testing.T) {
	checkInBubble(t, func(t *rapid.T) {
		m := newMachine(t)
		defer m.stop()
		t.Repeat(map[string]func(*rapid.T){
			"traffic":       m.traffic,
			"more traffic":  m.traffic,
			"still more":    m.traffic,
			"double":        m.doubleRelease,
			"cancel":        m.cancelOne,
			"set":           m.setBackends,
			"patch":         m.patchBackends,
			"configure":     m.configure,
			"delete":        m.delete,
			"unavailable":   m.unavailable,
			"sleep":         m.sleep,
			"sleep shortly": m.nap,
			"":              m.check,
		})
	})
}

func newMachine(t *rapid.T) *machine {
	total := Config{MaxWaiting: 12, MaxWaitingBytes: 200}
	th, err := New(total)
	if err != nil {
		t.Fatal(err)
	}
	m := &machine{t: th, id: RevisionID{"default", "model"}, total: total.withDefaults()}
	m.pods = map[string]*modelPod{}
	m.weight = rapid.SampledFrom([][]Outcome{
		{OK, OK, OK, DialFailed, Lost, Busy, Unused},
		{DialFailed, DialFailed, DialFailed, DialFailed, DialFailed, OK},
		{Busy, Busy, Busy, OK, Unused},
	}).Draw(t, "weight")
	m.setBackends(t)
	m.configure(t)
	return m
}

func (m *machine) stop() {
	for _, c := range m.queue {
		c.cancel()
	}
	m.t.DeleteRevision(m.id)
	synctest.Wait()
}

// traffic makes a few requests begin and end.
func (m *machine) traffic(t *rapid.T) {
	for range rapid.IntRange(1, 6).Draw(t, "n") {
		rapid.SampledFrom([]func(*rapid.T){m.acquire, m.try, m.releaseOne, m.releaseOne}).Draw(t, "what")(t)
	}
}

var notIDs = rapid.SampledFrom([][2]string{{}, {}, {}, {"a"}, {"b"}, {"c"}, {"", "b"}, {"a", "b"}, {"c", "a"}})

func (m *machine) acquire(t *rapid.T) {
	ctx, cancel := context.WithCancel(context.Background())
	c := &call{cancel: cancel, since: time.Now(), not: notIDs.Draw(t, "not"), noSpillover: rapid.IntRange(0, 2).Draw(t, "no spillover") == 0, bytes: rapid.IntRange(0, 40).Draw(t, "bytes")}
	d := Demand{Revision: m.id, Bytes: c.bytes, Avoid: c.not, NoSpillover: c.noSpillover}
	if age := rapid.SampledFrom([]int{0, 0, 1, 2, 3}).Draw(t, "age"); age > 0 {
		d.Enqueued = c.since.Add(-time.Duration(age) * time.Second)
		c.since = d.Enqueued
	}
	acquire := m.t.Acquire
	if rapid.Bool().Draw(t, "by place") {
		acquire = m.t.acquireByPlace
	}
	go func() {
		c.lease, c.err = acquire(ctx, d)
		c.done.Store(true)
	}()
	synctest.Wait()
	if m.mayEnter(c.not, c.noSpillover) {
		if !c.done.Load() || c.err != nil {
			t.Fatalf("a slot is free: done %v, %v", c.done.Load(), c.err)
		}
		m.grant(t, c.lease, c.not, c.noSpillover)
		return
	}
	if want := m.refusal(c, m.total); want != nil {
		if !c.done.Load() || !errors.Is(c.err, want) {
			t.Fatalf("done %v, %v, want %v", c.done.Load(), c.err, want)
		}
		return
	}
	m.wait(c)
}

func (m *machine) try(t *rapid.T) {
	not, noSpillover := notIDs.Draw(t, "not"), rapid.Bool().Draw(t, "no spillover")
	l, ok, err := m.t.TryAcquire(Demand{Revision: m.id, Avoid: not, NoSpillover: noSpillover})
	if errors.Is(err, ErrUnknownRevision) == m.known || ok != l.Valid() {
		t.Fatalf("known %v: %v, %v", m.known, ok, err)
	}
	if want := m.mayEnter(not, noSpillover); ok != want {
		t.Fatalf("TryAcquire: %v, want %v", ok, want)
	}
	if ok {
		m.grant(t, l, not, noSpillover)
	}
}

func (m *machine) releaseOne(t *rapid.T) {
	if len(m.leases) == 0 {
		return
	}
	i := rapid.IntRange(0, len(m.leases)-1).Draw(t, "lease")
	o := rapid.SampledFrom(m.weight).Draw(t, "outcome")
	l := m.leases[i].Lease
	m.ended = append(m.ended, l)
	l.Release(o)
	if p, most := m.release(i, o, m.total); p != nil {
		m.backOff(t, p, most, m.backOffs())
		m.shorten()
	}
	synctest.Wait()
	if p := m.pods[l.ID()]; o == OK && p != nil {
		m.succeed(t, p)
	}
	m.serve(t)
}

// backOffs asks the real throttler until when its pods back off.
func (m *machine) backOffs() map[string]time.Time {
	until := map[string]time.Time{}
	if r := m.t.find(m.id); r != nil {
		r.mu.Lock()
		for _, p := range r.backOffs.pods {
			until[p.ID] = p.backOff.until
		}
		r.mu.Unlock()
	}
	return until
}

func (m *machine) doubleRelease(t *rapid.T) {
	if len(m.ended) > 0 {
		rapid.SampledFrom(m.ended).Draw(t, "lease").Release(DialFailed)
		m.double++
	}
}

func (m *machine) cancelOne(t *rapid.T) {
	if len(m.queue) == 0 {
		return
	}
	i := rapid.IntRange(0, len(m.queue)-1).Draw(t, "waiter")
	c := m.queue[i]
	m.queue = slices.Delete(m.queue, i, i+1)
	c.cancel()
	synctest.Wait()
	if !c.done.Load() || !errors.Is(c.err, context.Canceled) {
		t.Fatalf("cancelled: done %v, %v", c.done.Load(), c.err)
	}
}

var backends = rapid.SliceOfNDistinct(rapid.Custom(func(t *rapid.T) Backend {
	return Backend{
		ID:        rapid.SampledFrom([]string{"a", "b", "c", "d", "e"}).Draw(t, "id"),
		Addr:      rapid.SampledFrom([]string{"10.0.0.1", "10.0.0.1", "10.0.0.2"}).Draw(t, "addr"),
		Slots:     rapid.SampledFrom([]int{0, 1, 1, 2, 3, 5}).Draw(t, "slots"),
		Own:       rapid.IntRange(0, 2).Draw(t, "own") > 0,
		Spillover: rapid.Bool().Draw(t, "spillover"),
		State:     rapid.SampledFrom([]State{Ready, Ready, Ready, Draining}).Draw(t, "state"),
	}
}), 0, 5, func(b Backend) string { return b.ID })

func (m *machine) setBackends(t *rapid.T) {
	all := backends.Draw(t, "all")
	m.t.SetBackends(m.id, all)
	listed := map[string]bool{}
	for _, b := range all {
		m.list(b)
		listed[b.ID] = true
	}
	for _, p := range m.order {
		if p != nil && !listed[p.ID] {
			m.unlist(p.ID)
		}
	}
	m.updated(t)
}

func (m *machine) patchBackends(t *rapid.T) {
	upsert := backends.Draw(t, "upsert")
	gone := rapid.SliceOfN(rapid.SampledFrom([]string{"a", "b", "c", "d", "e", "f"}), 0, 2).Draw(t, "gone")
	m.t.PatchBackends(m.id, upsert, gone)
	for _, id := range gone {
		m.unlist(id)
	}
	for _, b := range upsert {
		m.list(b)
	}
	m.updated(t)
}

func (m *machine) updated(t *rapid.T) {
	m.shorten()
	synctest.Wait()
	m.serve(t)
}

func (m *machine) configure(t *rapid.T) {
	m.config = RevisionConfig{
		MaxWaiting: rapid.SampledFrom([]int{0, -1, 4}).Draw(t, "bound"),
		Pick:       Pick(rapid.IntRange(0, int(PickRoundRobin)).Draw(t, "pick")),
	}
	m.t.SetRevision(m.id, m.config)
	m.known = true
}

func (m *machine) unavailable(t *rapid.T) {
	down := rapid.IntRange(0, 2).Draw(t, "down") == 0
	var err error
	if down {
		err = errDown
	}
	m.t.SetUnavailable(m.id, err)
	m.down = down && m.known
	synctest.Wait()
	m.serve(t)
}

func (m *machine) delete(t *rapid.T) {
	if rapid.IntRange(0, 2).Draw(t, "chance") > 0 {
		return
	}
	m.t.DeleteRevision(m.id)
	synctest.Wait()
	for _, c := range m.queue {
		if !c.done.Load() || !errors.Is(c.err, ErrRevisionGone) {
			t.Fatalf("a waiter of a deleted revision: done %v, %v", c.done.Load(), c.err)
		}
	}
	m.known, m.down, m.queue = false, false, nil
	for _, p := range m.order {
		if p != nil {
			m.unlist(p.ID)
		}
	}
	if len(m.leases) == 0 { // nothing is left that would keep an order
		m.reset()
	}
}

// reset is what becomes of a revision that is forgotten altogether.
func (m *machine) reset() {
	m.order, m.cursor, m.handed, m.declined = nil, 0, 0, 0
}
