package metrics

import (
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/sluice-proxy/sluice/metrics/statpb"
)

func TestOutboxAgainstModel(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		size := rapid.IntRange(1, 5).Draw(t, "size")
		maxAge := time.Duration(rapid.SampledFrom([]int{-1, 2, 5}).Draw(t, "age")) * time.Second
		b := &outbox{ring: make([]outgoing, size), maxAge: maxAge, wake: make(chan struct{}, 1)}
		var model []outgoing // oldest first
		var dropped uint64
		var last *outgoing // popped, and not put back
		now := epoch()
		expire := func() {
			for len(model) > 0 && maxAge > 0 && now.Sub(model[0].at) > maxAge {
				model = model[1:]
				dropped++
			}
		}
		t.Repeat(map[string]func(*rapid.T){
			"push": func(*rapid.T) {
				o := outgoing{m: &statpb.WireStatMessages{}, at: now}
				expire()
				if len(model) == size {
					model = model[1:]
					dropped++
				}
				model = append(model, o)
				b.push(o)
				if len(b.wake) != 1 {
					t.Fatal("the reader is not woken")
				}
			},
			"time": func(*rapid.T) { now = now.Add(time.Second) },
			"pop": func(*rapid.T) {
				expire()
				last = nil
				got, ok := b.pop(now)
				if ok != (len(model) > 0) {
					t.Fatalf("popped %v with %d there", ok, len(model))
				}
				if ok {
					if got != model[0] {
						t.Fatal("not the oldest")
					}
					last, model = &got, model[1:]
				}
			},
			"putBack": func(t *rapid.T) {
				if last == nil {
					t.Skip("nothing was popped")
				}
				if len(model) == size {
					dropped++
				} else {
					model = append([]outgoing{*last}, model...)
				}
				b.putBack(*last)
				last = nil
			},
			"": func(t *rapid.T) {
				if b.len() != len(model) || b.droppedSoFar() != dropped {
					t.Fatalf("%d and %d dropped, want %d and %d", b.len(), b.droppedSoFar(), len(model), dropped)
				}
				for i := range b.ring {
					if used := (i-b.head+size)%size < b.n; !used && b.ring[i].m != nil {
						t.Fatal("a free place holds on to its message")
					}
				}
			},
		})
	})
}

// TestPeers18OnlyTheNewestSecondIsKept: while the autoscaler is away a report is dropped as soon as the next one comes,
// and counted.
func TestPeers18OnlyTheNewestSecondIsKept(t *testing.T) {
	s, err := NewStatSender(StatSenderConfig{URL: "ws://autoscaler:8080"})
	if err != nil {
		t.Fatal(err)
	}
	now := epoch()
	for range 60 {
		now = now.Add(time.Second + time.Millisecond)
		s.queue.push(outgoing{m: &statpb.WireStatMessages{}, at: now})
	}
	if n, lost := s.queue.len(), s.Dropped(); n != 1 || lost != 59 {
		t.Errorf("%d kept, %d lost", n, lost)
	}
	if _, ok := s.queue.pop(now.Add(time.Second)); !ok {
		t.Error("the newest is not sent")
	}
}
