package broker

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"pgregory.net/rapid"
)

// A schedule gives each event once until it is done, of each key in order and one at a time, and all of them in the end, also those that it
// did not remember. The log is a list here, and the bound on numbers in memory is reached by what takes the room.
func TestScheduleAgainstModel(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		s := newSchedule()
		s.queued = mostQueued - rapid.IntRange(0, 100).Draw(t, "room")
		taken := s.queued
		type event struct {
			key   string
			keyed bool
		}
		var log []event // the number of an event is its index and 1
		done := map[uint64]bool{}
		var inFlight []*item
		now := time.Unix(0, 0)
		var keys map[string]*keyed // of a search, at position at
		var at uint64
		check := func(it *item) {
			if it == nil {
				return
			}
			e := log[it.seq-1]
			if done[it.seq] || slices.ContainsFunc(inFlight, func(o *item) bool { return o.seq == it.seq }) {
				t.Fatalf("event %d is given twice", it.seq)
			}
			for i := range log {
				seq := uint64(i + 1)
				if log[i] == e && e.keyed && seq < it.seq && !done[seq] {
					t.Fatalf("event %d is given before %d, which has the same key", it.seq, seq)
				}
			}
			inFlight = append(inFlight, it)
		}
		take := func() *item {
			it := s.take(true)
			check(it)
			return it
		}
		finish := func(i int) {
			it := inFlight[i]
			inFlight = slices.Delete(inFlight, i, i+1)
			done[it.seq] = true
			s.done(it)
		}
		searchSome := func(n int) {
			if keys == nil {
				if len(s.hungry) == 0 {
					return
				}
				keys, at = s.search()
			}
			for ; n > 0 && at <= uint64(len(log)) && len(keys) > 0; n-- {
				e := log[at-1]
				if k := keys[e.key]; e.keyed && k != nil && at >= k.more && !done[at] {
					if !s.found(k, at) {
						delete(keys, e.key)
					}
				}
				at++
			}
			if at > uint64(len(log)) || len(keys) == 0 {
				for _, k := range keys {
					s.searched(k)
				}
				keys = nil
			}
		}
		t.Repeat(map[string]func(*rapid.T){
			"admit": func(t *rapid.T) {
				e := event{key: fmt.Sprint(rapid.IntRange(0, 3).Draw(t, "key")), keyed: rapid.IntRange(0, 9).Draw(t, "keyed") > 0}
				if !e.keyed {
					e.key = ""
				}
				log = append(log, e)
				s.admit(uint64(len(log)), e.key, e.keyed, nil)
			},
			"take": func(*rapid.T) { take() },
			"done": func(t *rapid.T) {
				if len(inFlight) > 0 {
					finish(rapid.IntRange(0, len(inFlight)-1).Draw(t, "which"))
				}
			},
			"retry": func(t *rapid.T) {
				if len(inFlight) > 0 {
					i := rapid.IntRange(0, len(inFlight)-1).Draw(t, "which")
					s.retry(inFlight[i], now.Add(time.Duration(rapid.IntRange(0, 5).Draw(t, "delay"))))
					inFlight = slices.Delete(inFlight, i, i+1)
				}
			},
			"release": func(t *rapid.T) {
				now = now.Add(time.Duration(rapid.IntRange(0, 3).Draw(t, "elapsed")))
				s.release(now)
			},
			"search": func(t *rapid.T) { searchSome(rapid.IntRange(1, 5).Draw(t, "records")) },
		})
		// Everything ends.
		for range 10 * (len(log) + 1) {
			now = now.Add(time.Second)
			s.release(now)
			for take() != nil {
			}
			for len(inFlight) > 0 {
				finish(0)
			}
			searchSome(len(log) + 1)
		}
		if len(done) != len(log) {
			t.Fatalf("%d of %d events are done", len(done), len(log))
		}
		if s.items != 0 || len(s.keys) != 0 || s.queued != taken || len(s.hungry) != 0 {
			t.Fatalf("left: %d items, %d keys, %d numbers", s.items, len(s.keys), s.queued-taken)
		}
	})
}
