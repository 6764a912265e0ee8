package proxy

import (
	"context"
	"net/http"
	"sync"
	"sync/atomic"

	"github.com/sluice-proxy/sluice/proxy/internal/netio"
)

// Handler forwards requests as its Policy says. It is an http.Handler for a server whose ConnContext is ConnContext;
// NewServer makes one. It is safe for concurrent use.
type Handler struct {
	cfg       Config
	private   private
	pool      *pool
	watch     watch
	budget    budget
	buffers   sync.Pool // of *[copyBuffer]byte
	smalls    sync.Pool // of *[smallBuffer]byte
	helds     sync.Pool // of *[maxHeld]byte
	pipes     netio.Pipes
	unwatched sync.Once
	draining  atomic.Bool

	inFlight atomic.Int64
	awaited  atomic.Bool // somebody is in Drain
	mu       sync.Mutex
	idle     chan struct{} // closed when nothing is in flight; nil while nobody waits
}

// New makes a Handler. Its errors are those of Config.Validate.
func New(c Config) (*Handler, error) {
	if err := c.Validate(); err != nil {
		return nil, err
	}
	h := &Handler{cfg: c.withDefaults()}
	h.private = newPrivate(h.cfg.Private)
	h.pool = newPool(&h.cfg)
	h.budget.init(h.cfg.RetryBurst)
	h.buffers.New = func() any { return new([copyBuffer]byte) }
	h.smalls.New = func() any { return new([smallBuffer]byte) }
	h.helds.New = func() any { return new([maxHeld]byte) }
	return h, nil
}

// ServeHTTP forwards one request and blocks until both its directions have ended. A failure after the answer has
// started is a panic with http.ErrAbortHandler, on which net/http resets the stream or cuts the connection.
func (h *Handler) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	growStack(0)
	handed := claim(r)
	if handed == nil {
		h.inFlight.Add(1)
	}
	defer h.leave()
	ex, err := newExchange(h, w, r)
	if err != nil {
		if handed != nil {
			handed.lost(BadRequest)
		}
		h.answer(w, r, err)
		return
	}
	if handed != nil {
		ex.goOn(handed)
	} else {
		h.budget.deposit()
	}
	if ex.run() {
		panic(http.ErrAbortHandler)
	}
}

// growStack has Go give the new goroutine that an HTTP/2 request comes on the 8 KiB of stack that it needs anyway, at once
// and before there is much to be moved: by doubling, and deep down in a policy, that took a tenth of a request's time.
//
//go:noinline
func growStack(i uint8) byte {
	var room [4 << 10]byte
	return room[i]
}

func (h *Handler) leave() {
	if h.inFlight.Add(-1) > 0 || !h.awaited.Load() {
		return
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.idle != nil {
		close(h.idle)
		h.idle = nil
	}
	h.awaited.Store(false)
}

// SetDraining says whether answers, the proxy's own among them, tell the client to make no further request on its
// connection: Connection: close on HTTP/1.1, GOAWAY on HTTP/2. Requests go on being served.
func (h *Handler) SetDraining(on bool) { h.draining.Store(on) }

// InFlight is the number of requests in progress, upgraded connections among them.
func (h *Handler) InFlight() int { return int(h.inFlight.Load()) }

// Drain blocks until a moment when no request is in progress, upgraded connections included, or ctx ends, whose error
// it then returns. It refuses nobody: stop the listener first.
func (h *Handler) Drain(ctx context.Context) error {
	h.mu.Lock()
	if h.idle == nil {
		h.idle = make(chan struct{})
	}
	idle := h.idle
	h.awaited.Store(true)
	if h.inFlight.Load() == 0 { // after awaited: who leaves later sees it
		close(h.idle)
		h.idle = nil
		h.awaited.Store(false)
	}
	h.mu.Unlock()
	select {
	case <-idle:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// Close ends the unused connections to upstreams, and the goroutine that watches clients, and waits for it. Call it when
// nothing is in flight any more; connections that are still in use end with their request. It returns nil.
func (h *Handler) Close() error {
	h.pool.close()
	h.watch.close()
	h.pipes.Close()
	return nil
}

func (h *Handler) buffer() *[copyBuffer]byte     { return h.buffers.Get().(*[copyBuffer]byte) }
func (h *Handler) putBuffer(b *[copyBuffer]byte) { h.buffers.Put(b) }
