package proxy

import "github.com/sluice-proxy/sluice/proxy/internal/h1"

// taker is an end that a body goes to.
type taker interface {
	// data takes some of p, from the front; what it leaves is offered again when the relay is told to flush. With end and
	// all of p taken, that is the end of the body.
	data(p []byte, end bool) (n int)
	// trailers end the body.
	trailers(f h1.Fields)
}

// giver is the end that a body comes from.
type giver interface {
	// credit says that n bytes have gone on, and how many are still held. So the giver knows how many more may come.
	credit(n, held int)
}

// relay carries a body, in one direction, from the end that gives bytes as they come to the one that takes them when it
// can. What can't go on yet is held; it is the giver that bounds how much that is. While nobody takes, everything is
// held. Until settle what has gone on is kept as well, up to maxHeld in all, for another attempt.
type relay struct {
	from giver
	to   taker // nil: nobody yet

	buf     []byte    // what is kept and what is held
	gone    int       // of buf: what has gone on
	more    backlog   // what is held besides
	spare   *blocks   // for more
	again   int       // bytes that go on once more: they have been credited
	keeping bool      // the body from its start is in buf
	lost    bool      // something has gone on that is not kept
	n       int64     // bytes that have come
	ended   bool      // no more will come
	trail   h1.Fields // behind the body
	done    bool      // the end has gone on
	dropped bool      // nobody wants it any more
}

// start readies r for a body; with keep it can be repeated.
func (r *relay) start(from giver, keep bool) {
	r.more.drop(r.spare)
	*r = relay{from: from, buf: r.small(), trail: r.trail[:0], spare: r.spare, keeping: keep}
}

// small is the memory of r for another body, unless it is too much to keep.
func (r *relay) small() []byte {
	if cap(r.buf) > keptBuffer {
		return nil
	}
	return r.buf[:0]
}

// memory is what that takes.
func (r *relay) memory() int { return cap(r.buf) + r.more.memory() }

// keptBuffer is how much memory for bodies a call keeps for the next.
const keptBuffer = 4 << 10

// held is how many bytes wait.
func (r *relay) held() int { return len(r.buf) - r.gone + r.more.n }

// hold keeps p until it can go on.
func (r *relay) hold(p []byte) {
	if r.more.n == 0 && (r.keeping || len(r.buf)+len(p) <= keptBuffer) {
		r.buf = append(r.buf, p...)
	} else {
		r.more.push(p, r.spare)
	}
}

// put takes what has come, and the end with it.
func (r *relay) put(p []byte, end bool) {
	r.n += int64(len(p))
	r.ended = r.ended || end
	r.keeping = r.keeping && r.n <= maxHeld
	if r.dropped {
		return
	}
	if r.to == nil || r.held() > 0 {
		r.hold(p)
		r.bound()
		if r.to != nil {
			r.flush()
		}
		return
	}
	n := r.to.data(p, r.ended && len(r.trail) == 0)
	rest := p
	if r.keeping {
		r.gone += n
	} else {
		r.lost = r.lost || r.gone+n > 0
		r.forget()
		rest = p[n:]
	}
	r.hold(rest)
	r.finish()
	r.credit(n)
}

// credit tells the giver of n bytes that have gone on; of those of an attempt before it has been told.
func (r *relay) credit(n int) {
	old := min(n, r.again)
	r.again -= old
	if n > 0 {
		r.from.credit(n-old, r.held())
	}
}

// putTrailers takes the fields that end the body.
func (r *relay) putTrailers(f h1.Fields) {
	r.trail = append(r.trail[:0], f...)
	r.put(nil, true)
}

// flush offers what is held.
func (r *relay) flush() {
	if r.to == nil || r.done {
		return
	}
	last := r.ended && len(r.trail) == 0
	n := 0
	if r.gone < len(r.buf) || last && r.more.n == 0 {
		n = r.to.data(r.buf[r.gone:], last && r.more.n == 0)
		r.gone += n
	}
	for r.gone == len(r.buf) && r.more.n > 0 {
		p := r.more.head()
		k := r.to.data(p, last && len(p) == r.more.n)
		r.more.pop(k, r.spare)
		r.lost = r.lost || k > 0
		n += k
		if k < len(p) {
			break
		}
	}
	r.bound()
	r.finish()
	r.credit(n)
}

// finish passes the end on once everything else has gone.
func (r *relay) finish() {
	if r.done || !r.ended || r.held() > 0 || r.to == nil {
		return
	}
	r.done = true
	if len(r.trail) > 0 {
		r.to.trailers(r.trail)
	}
}

// bound lets go of what need not, or must not be kept.
func (r *relay) bound() {
	if r.keeping {
		return
	}
	r.lost = r.lost || r.gone > 0
	if r.gone == len(r.buf) {
		r.forget()
	} else if r.gone > len(r.buf)/2 { // so that a byte is moved once at most, on average
		r.buf = r.buf[:copy(r.buf, r.buf[r.gone:])]
		r.gone = 0
	}
}

// forget drops what has gone on, which is everything.
func (r *relay) forget() {
	r.gone, r.buf = 0, r.small()
}

// settle says that there will be no other attempt.
func (r *relay) settle() {
	if r.keeping {
		r.keeping = false
		r.bound()
	}
}

// drop throws away what is held, and whatever comes.
func (r *relay) drop() {
	r.more.drop(r.spare)
	r.to, r.buf, r.gone, r.keeping, r.lost, r.dropped = nil, nil, 0, false, true, true
}

// repeatable reports that the body can be sent once more, from its start.
func (r *relay) repeatable() bool { return !r.lost }

// rewind has the body begin again, for another taker.
func (r *relay) rewind() { r.to, r.again, r.gone, r.done = nil, r.again+r.gone, 0, false }
