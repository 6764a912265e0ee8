package proxy

import (
	"errors"
	"io"
	"net/http"
	"sync"
	"time"
)

var errUploadEnded = errors.New("proxy: the attempt has ended")

// upload is the body of a request on its way up. One goroutine reads it, from the first time that an upstream wants some
// until its end, into one buffer; attempts take it from there. So an attempt can be given up while the client is
// silent, without a read of its own that hangs, and the next one goes on with what has come meanwhile.
type upload struct {
	h    *Handler
	src  *http.Request
	wake func(n int) // counts bytes as activity
	fail func(error) // the client's end has failed

	mu       sync.Mutex
	cond     sync.Cond
	running  bool
	stopped  bool
	withheld bool           // see withhold
	asked    *time.Timer    // ends that
	ready    []byte         // of pump's buffer, not yet taken
	err      error          // what ended the body: io.EOF is its end
	held     []byte         // what has been taken, from the start
	large    *[maxHeld]byte // held's, when that has become large
	lost     bool           // more than maxHeld was taken
	taken    int64
}

func (u *upload) init(h *Handler, r *http.Request) {
	u.h, u.src = h, r
	u.cond.L = &u.mu
	if r.ContentLength == 0 {
		u.err = io.EOF
	}
}

// complete reports whether the body has been read to its end, or there is none.
func (u *upload) complete() bool {
	u.mu.Lock()
	defer u.mu.Unlock()
	return u.err == io.EOF
}

// broken is what went wrong with the client's end, or nil.
func (u *upload) broken() error {
	u.mu.Lock()
	defer u.mu.Unlock()
	if u.err == io.EOF {
		return nil
	}
	return u.err
}

func (u *upload) sent() int64 {
	u.mu.Lock()
	defer u.mu.Unlock()
	return u.taken
}

// replayable reports whether another attempt would get the whole body.
func (u *upload) replayable() bool {
	u.mu.Lock()
	defer u.mu.Unlock()
	return !u.lost
}

// withhold keeps a body to which the client wants consent (Expect: 100-continue) from being asked for: until ask, which
// comes with the upstream's 100; or with the head of the final answer, after which net/http sends no 100, but some clients send
// a body that they have waited with for long enough, and some upstreams want one behind the beginning of their answer; or when
// limit has passed.
func (u *upload) withhold(limit time.Duration) {
	u.mu.Lock()
	defer u.mu.Unlock()
	if u.asked != nil {
		u.asked.Stop()
	}
	u.withheld = true
	u.asked = time.AfterFunc(limit, u.ask)
}

func (u *upload) ask() {
	u.mu.Lock()
	defer u.mu.Unlock()
	if u.withheld {
		u.withheld = false
		u.asked.Stop()
		u.cond.Broadcast()
	}
}

// pump is the goroutine that reads the body. stop ends it and waits for it.
func (u *upload) pump() {
	buf := scratch{h: u.h}
	defer buf.free()
	n := int(min(max(u.src.ContentLength, 0), copyBuffer)) // expected
	for {
		b := buf.next(n)
		var err error
		n, err = u.src.Body.Read(b)
		u.wake(n)
		u.mu.Lock()
		u.ready, u.err = b[:n], err
		u.cond.Broadcast()
		for len(u.ready) > 0 && !u.stopped {
			u.cond.Wait()
		}
		if err != nil || u.stopped {
			break
		}
		u.mu.Unlock()
	}
	if u.err != nil && u.err != io.EOF && !u.stopped {
		u.fail(u.err)
	}
	u.running = false
	u.ready = nil
	u.cond.Broadcast()
	u.mu.Unlock()
}

// stop ends the reading of the body for good. interrupt makes a read that hangs return; it is called at most once, and
// stop waits for the goroutine then. It reports whether a read had to be interrupted.
func (u *upload) stop(interrupt func()) (interrupted bool) {
	u.mu.Lock()
	defer u.mu.Unlock()
	u.stopped = true
	u.cond.Broadcast()
	u.dropHeld()
	if u.asked != nil {
		u.asked.Stop()
	}
	if !u.running {
		return false
	}
	if interrupted = len(u.ready) == 0 && u.err == nil; interrupted {
		u.mu.Unlock()
		interrupt()
		u.mu.Lock()
	}
	for u.running {
		u.cond.Wait()
	}
	return interrupted
}

// reader is the body as one attempt sends it: from the start.
type reader struct {
	up      *upload
	off     int         // of up.held
	trailer http.Header // filled at the end of the body; nil: there will be none
	closed  bool        // under up.mu
}

// Read blocks until the client has sent something, or Close.
func (r *reader) Read(p []byte) (int, error) {
	u := r.up
	u.mu.Lock()
	defer u.mu.Unlock()
	if !r.closed && r.off < len(u.held) {
		n := copy(p, u.held[r.off:])
		r.off += n
		return n, nil
	}
	for !r.closed && len(u.ready) == 0 && u.err == nil && !u.stopped {
		if !u.running && !u.withheld {
			u.running = true
			go u.pump()
		}
		u.cond.Wait()
	}
	if r.closed || u.stopped {
		return 0, errUploadEnded
	}
	n := copy(p, u.ready)
	u.take(n)
	r.off += n
	if len(u.ready) > 0 || u.err == nil {
		return n, nil
	}
	if u.err == io.EOF && r.trailer != nil {
		for name, values := range u.src.Trailer {
			r.trailer[name] = values
		}
		u.h.private.stripTrailers(Header{fields: r.trailer})
	}
	return n, u.err
}

// take moves n bytes from ready to held.
func (u *upload) take(n int) {
	u.taken += int64(n)
	if !u.lost {
		if u.taken > maxHeld {
			u.lost = true
			u.dropHeld()
		} else {
			u.hold(u.ready[:n])
		}
	}
	u.ready = u.ready[n:]
	if len(u.ready) == 0 {
		u.cond.Broadcast()
	}
}

// hold keeps a copy of b.
func (u *upload) hold(b []byte) {
	if u.large == nil && len(u.held)+len(b) > smallBuffer {
		u.large = u.h.helds.Get().(*[maxHeld]byte)
		u.held = append(u.large[:0], u.held...)
	}
	u.held = append(u.held, b...)
}

func (u *upload) dropHeld() {
	if u.held = nil; u.large != nil {
		u.h.helds.Put(u.large)
		u.large = nil
	}
}

// Close ends the attempt's reading, also one in progress. It does not block.
func (r *reader) Close() error {
	r.up.mu.Lock()
	defer r.up.mu.Unlock()
	r.closed = true
	r.up.cond.Broadcast()
	return nil
}

// What a client still sends of a body that nobody wants is read for so long; by net/http 256 KiB of it at most, and by an
// Engine for as long as more comes: see client.lingering.
const (
	// beforeAnswer: the connection can be used again when the rest is on its way already.
	beforeAnswer = 50 * time.Millisecond
	// afterAnswer keeps a client that sends all before it reads anything from losing the answer to a reset (RFC 9112
	// §9.6): 1 Mbit/s is enough for net/http's bound. No slot is held meanwhile.
	afterAnswer = 2 * time.Second
)
