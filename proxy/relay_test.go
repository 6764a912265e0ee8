package proxy

import (
	"bytes"
	"testing"

	"pgregory.net/rapid"

	"github.com/sluice-proxy/sluice/proxy/internal/h1"
)

// end is a taker and giver that takes as much as it has room for.
type end struct {
	room     int
	got      []byte
	ended    int
	credited int
	trailer  bool
}

func (e *end) data(p []byte, last bool) int {
	n := min(len(p), e.room)
	e.room -= n
	e.got = append(e.got, p[:n]...)
	if last && n == len(p) {
		e.ended++
	}
	return n
}

func (e *end) trailers(h1.Fields) { e.ended++; e.trailer = true }
func (e *end) credit(n, _ int)    { e.credited += n }

// A body arrives as it was, with one end, however its pieces are cut and taken, and also on the second attempt; what has gone on is
// credited once, and no block is kept.
func TestRelayCarriesABody(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		spare := new(blocks)
		from, to := new(end), new(end)
		r := relay{spare: spare}
		r.start(from, rapid.Bool().Draw(t, "keep"))
		var sent []byte
		sizes := rapid.OneOf(rapid.IntRange(0, 100), rapid.IntRange(0, 40_000))
		tail := rapid.SampledFrom([]string{"", "with the last", "alone", "trailers"}).Draw(t, "end")
		for i := rapid.IntRange(0, 40).Draw(t, "steps"); i > 0; i-- {
			switch rapid.IntRange(0, 5).Draw(t, "step") {
			case 0:
				r.to = to
				r.flush()
			case 1, 2:
				to.room += sizes.Draw(t, "room")
				r.flush()
			case 3:
				if r.keeping && r.repeatable() {
					r.rewind()
					to = &end{}
				}
			default:
				p := bytes.Repeat([]byte{byte(i)}, sizes.Draw(t, "size"))
				sent = append(sent, p...)
				r.put(p, i == 1 && tail == "with the last")
			}
			if r.held() != len(sent)-len(to.got) {
				t.Fatalf("%d bytes are held of %d, of which %d have gone", r.held(), len(sent), len(to.got))
			}
		}
		switch {
		case r.ended:
		case tail == "trailers":
			r.putTrailers(h1.Fields{{Name: "X"}})
		default:
			r.put(nil, true)
		}
		r.to, to.room = to, 1<<30
		r.flush()
		if !bytes.Equal(to.got, sent) || to.ended != 1 || to.trailer != (tail == "trailers") || !r.done {
			t.Fatalf("%d bytes of %d came, and %d ends", len(to.got), len(sent), to.ended)
		}
		if from.credited != len(sent) || r.more.first != nil || r.more.last != nil {
			t.Fatalf("%d bytes of %d were credited, %d are held", from.credited, len(sent), r.held())
		}
	})
}

// The blocks of what was held serve the next bodies, as many as one needs.
func TestBacklogLeavesNoGarbage(t *testing.T) {
	spare := new(blocks)
	var q backlog
	p := make([]byte, 10_000)
	allocs := testing.AllocsPerRun(10, func() {
		for range 50 {
			q.push(p, spare)
		}
		for q.n > 0 {
			q.pop(min(7000, len(q.head())), spare)
		}
	})
	if allocs != 0 {
		t.Errorf("%v allocations for half a MiB", allocs)
	}
	for range 200 {
		q.push(p, spare)
	}
	if q.drop(spare); spare.n != maxSpareBlocks {
		t.Errorf("%d blocks are kept", spare.n)
	}
}

// A call keeps little memory of a large body for the next.
func TestLargeBodiesAreNotKeptWithUnusedCalls(t *testing.T) {
	s := new(shard)
	c := s.call()
	c.up.start(noGiver{}, true)
	c.up.put(make([]byte, maxHeld), true)
	s.free(c)
	if n := cap(s.call().up.buf); n > keptBuffer {
		t.Errorf("%d bytes", n)
	}
}
