package throttler

import (
	"testing/synctest"
	"time"

	"pgregory.net/rapid"
)

func (m *machine) sleep(t *rapid.T) {
	m.sleepUntil(t, time.Now().Add(time.Duration(rapid.SampledFrom([]int{700, 2000, 11_000}).Draw(t, "ms"))*time.Millisecond))
}

// nap is as short as the first steps of a back-off.
func (m *machine) nap(t *rapid.T) {
	m.sleepUntil(t, time.Now().Add(time.Duration(rapid.SampledFrom([]int{10, 60, 100, 200}).Draw(t, "ms"))*time.Millisecond))
}

func (m *machine) sleepUntil(t *rapid.T, end time.Time) {
	for {
		at, ok := m.next()
		if !ok || at.After(end) {
			break
		}
		time.Sleep(time.Until(at))
		synctest.Wait()
		m.endBackOff()
		m.serve(t)
	}
	time.Sleep(time.Until(end))
}

func (m *machine) check(t *rapid.T) {
	synctest.Wait()
	if !m.known && len(m.leases) == 0 && len(m.pods) == 0 {
		m.reset()
	}
	if got := m.t.Totals(); got.Waiting != len(m.queue) || got.DoubleReleases != m.double {
		t.Fatalf("%+v, want %d waiting, %d double", got, len(m.queue), m.double)
	}
	s, known := m.t.Stats(m.id)
	if known != m.known {
		t.Fatalf("known %v, want %v", known, m.known)
	}
	if !known {
		return
	}
	m.checkStats(t, s)
	for id, until := range m.backOffs() {
		if p := m.pods[id]; p == nil || p.why == inUse || !p.until.Equal(until) {
			t.Fatalf("%s backs off until %v, want %+v", id, until, p)
		}
	}
}

func (m *machine) checkStats(t *rapid.T, s RevisionStats) {
	want := s // counters of events are compared where the model has them
	want.Backends, want.Ready, want.Draining, want.Ejected, want.BackedOff, want.Leaving, want.Slots = 0, 0, 0, 0, 0, 0, 0
	want.InFlight, want.Spillover, want.WaitingBytes, want.Waiting = len(m.leases), 0, 0, len(m.queue)
	want.Handed, want.WakeUps, want.Declined = m.handed, m.handed, m.declined
	for _, l := range m.leases {
		if l.Spillover() {
			want.Spillover++
		}
	}
	for _, c := range m.queue {
		want.WaitingBytes += int64(c.bytes)
	}
	open := false
	for _, p := range m.pods {
		switch {
		case !p.listed:
			want.Leaving++
			continue
		case p.State == Draining:
			want.Draining++
		default:
			want.Ready++
			if p.Own {
				want.Slots += p.Slots
				open = open || p.Slots == 0
			}
			want.Ejected += int(p.why & ejected)
			want.BackedOff += int(p.why & declined >> 1)
		}
		want.Backends++
	}
	if open {
		want.Slots = -1
	}
	if s != want {
		t.Fatalf("stats\n%+v, want\n%+v", s, want)
	}
}
