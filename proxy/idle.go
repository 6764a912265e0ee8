package proxy

import (
	"crypto/tls"
	"maps"
	"net/http"
	"slices"
	"sync"
	"time"
)

const (
	// roundEvery is how often unused connections are looked at, for their end.
	roundEvery = time.Second
	// roundAtOnce is how many are looked at while the pool is locked: a system call each, of less than a microsecond.
	roundAtOnce = 32
)

// How long an upstream that has closed a connection as it was used again gets no request over a used one that could not be
// repeated. Servers that recycle their workers close connections after some requests without saying so (gunicorn's
// max_requests, https://github.com/openfaas/of-watchdog/issues/102), and go on doing so: an upstream that does it again soon after
// the time is over gets twice as long.
const (
	recyclesFirst = 10 * time.Second
	recyclesMost  = 10 * time.Minute
)

type upstreamKey struct {
	addr  string
	tls   *tls.Config
	proto Proto
}

// upstreamConns is what there is of connections C to one upstream. It goes when the last of them does, and the TLS configuration with
// it.
type upstreamConns[C any] struct {
	key  upstreamKey
	refs int  // connections and dials
	idle []*C // the last used at the end

	// Of a pool:
	transport *http.Transport // makes connections, keeps none
	shared    []*C            // HTTP/2; replaced, never changed
	dialing   *dial           // HTTP/2: one at a time
}

// idle is what an idlePool notes of a connection C. C embeds it.
type idle[C any] struct {
	upstream   *upstreamConns[C]
	since      time.Time     // unused since
	keep       time.Duration // unused at most so long; 0: as configured
	prev, next *C            // in idleList
}

func (i *idle[C]) unused() *idle[C] { return i }

func (i *idle[C]) expired(now time.Time, limit time.Duration) bool {
	if i.keep > 0 && i.keep < limit {
		limit = i.keep
	}
	return now.Sub(i.since) >= limit
}

// pooled is what an idlePool asks of a connection.
type pooled[C any] interface {
	*C
	unused() *idle[C]
	quiet() bool // nothing has come while it was unused
	shut()
}

// recycling is an upstream's closing of connections that are used again.
type recycling struct {
	until time.Time
	spell time.Duration
}

// again notes that it has happened, perhaps once more.
func (r *recycling) again(now time.Time) {
	switch {
	case now.Before(r.until): // also when requests that are repeated find it out
	case now.Before(r.until.Add(r.spell)):
		r.spell = min(2*r.spell, recyclesMost)
	default:
		r.spell = recyclesFirst
	}
	r.until = now.Add(r.spell)
}

// over reports that it is forgotten.
func (r *recycling) over(now time.Time) bool { return !now.Before(r.until.Add(r.spell)) }

// idlePool keeps the connections to upstreams that are not in use, and counts the others.
type idlePool[C any, P pooled[C]] struct {
	cfg       *Config
	mu        sync.Mutex
	upstreams map[upstreamKey]*upstreamConns[C]
	idle      idleList[C, P]
	rounds    *time.Timer // runs while idle or recycles is not empty
	next      *C          // that round looks at; nil: none
	closed    bool

	recycles map[upstreamKey]recycling
}

func newIdlePool[C any, P pooled[C]](cfg *Config) *idlePool[C, P] {
	return &idlePool[C, P]{cfg: cfg, upstreams: make(map[upstreamKey]*upstreamConns[C]), recycles: make(map[upstreamKey]recycling)}
}

// take returns an unused connection; nil when there is none. Each is looked at, however short a while it was unused: bytes
// that have come meanwhile would be taken for the answer to the next request, somebody else's perhaps. A request that can't
// be repeated gets none while the upstream recycles connections; the fresh one that it needs takes the place of the longest unused.
func (p *idlePool[C, P]) take(key upstreamKey, now time.Time, repeatable bool) *C {
	for {
		p.mu.Lock()
		h := p.upstreams[key]
		if h == nil || len(h.idle) == 0 {
			p.mu.Unlock()
			return nil
		}
		if !repeatable && now.Before(p.recycles[key].until) {
			c := h.idle[0]
			p.takeLocked(c)
			p.mu.Unlock()
			p.drop(c)
			return nil
		}
		c := h.idle[len(h.idle)-1]
		p.takeLocked(c)
		p.mu.Unlock()
		if !P(c).unused().expired(now, p.cfg.IdleConnTimeout) && P(c).quiet() {
			return c
		}
		p.drop(c)
	}
}

// recycled notes that an upstream has closed a connection without an answer as it was used again.
func (p *idlePool[C, P]) recycled(key upstreamKey, now time.Time) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.closed {
		return
	}
	r := p.recycles[key]
	r.again(now)
	p.recycles[key] = r
	p.roundLocked()
}

// roundLocked sees to it that there will be a round, if there is something to look at.
func (p *idlePool[C, P]) roundLocked() {
	if p.rounds == nil && !p.closed && (p.idle.oldest != nil || len(p.recycles) > 0) {
		p.rounds = time.AfterFunc(roundEvery, p.round)
	}
}

// give gives a connection back that can take another request, for keep at most, if that is not 0.
func (p *idlePool[C, P]) give(c *C, now time.Time, keep time.Duration) {
	i := P(c).unused()
	i.since, i.keep = now, keep
	p.mu.Lock()
	if p.closed || len(i.upstream.idle) >= p.cfg.MaxIdleConnsPerHost {
		p.mu.Unlock()
		p.drop(c)
		return
	}
	i.upstream.idle = append(i.upstream.idle, c)
	p.idle.push(c)
	var oldest *C
	if p.idle.n > p.cfg.MaxIdleConns {
		oldest = p.idle.oldest
		p.takeLocked(oldest)
	}
	p.roundLocked()
	p.mu.Unlock()
	if oldest != nil {
		p.drop(oldest)
	}
}

// drop closes a connection that is in no list.
func (p *idlePool[C, P]) drop(c *C) {
	P(c).shut()
	p.unref(P(c).unused().upstream)
}

// takeLocked removes c from the lists; it is mostly the last of its upstream's.
func (p *idlePool[C, P]) takeLocked(c *C) {
	h := P(c).unused().upstream
	for i := len(h.idle) - 1; i >= 0; i-- {
		if h.idle[i] == c {
			h.idle = slices.Delete(h.idle, i, i+1)
			break
		}
	}
	if p.next == c {
		p.next = P(c).unused().next
	}
	p.idle.remove(c)
}

// round closes what has been unused for too long, and what its upstream has closed, and forgets which upstreams recycled. It doesn't
// keep the pool from those who need a connection for longer than it takes to look at some.
func (p *idlePool[C, P]) round() {
	now := time.Now()
	p.mu.Lock()
	p.next = p.idle.oldest
	for p.next != nil {
		old := p.lookLocked(now)
		p.mu.Unlock()
		for _, c := range old {
			p.drop(c)
		}
		p.mu.Lock()
	}
	maps.DeleteFunc(p.recycles, func(_ upstreamKey, r recycling) bool { return r.over(now) })
	p.rounds = nil
	p.roundLocked()
	p.mu.Unlock()
}

// lookLocked looks at the next few, and takes those out that are of no more use.
func (p *idlePool[C, P]) lookLocked(now time.Time) (old []*C) {
	for range roundAtOnce {
		c := p.next
		if c == nil {
			return old
		}
		i := P(c).unused()
		if i.since.After(now) { // and all that follow: they have been used meanwhile
			p.next = nil
			return old
		}
		p.next = i.next
		if i.expired(now, p.cfg.IdleConnTimeout) || !P(c).quiet() {
			p.takeLocked(c)
			old = append(old, c)
		}
	}
	return old
}

// close closes what is unused, and from now on whatever is given back.
func (p *idlePool[C, P]) close() {
	var all []*C
	p.mu.Lock()
	p.closed = true
	if p.rounds != nil {
		p.rounds.Stop()
	}
	for c := p.idle.oldest; c != nil; c = p.idle.oldest {
		p.takeLocked(c)
		all = append(all, c)
	}
	p.mu.Unlock()
	for _, c := range all {
		p.drop(c)
	}
}

// ref finds or makes the entry of an upstream, and counts a connection to it.
func (p *idlePool[C, P]) ref(key upstreamKey) *upstreamConns[C] {
	p.mu.Lock()
	defer p.mu.Unlock()
	h := p.upstreams[key]
	if h == nil {
		h = &upstreamConns[C]{key: key}
		p.upstreams[key] = h
	}
	h.refs++
	return h
}

func (p *idlePool[C, P]) unref(h *upstreamConns[C]) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if h.refs--; h.refs == 0 && p.upstreams[h.key] == h {
		delete(p.upstreams, h.key)
	}
}

// idleList is a list of unused connections, the longest unused first.
type idleList[C any, P pooled[C]] struct {
	oldest, newest *C
	n              int
}

func (l *idleList[C, P]) push(c *C) {
	i := P(c).unused()
	i.prev, i.next = l.newest, nil
	if l.newest != nil {
		P(l.newest).unused().next = c
	} else {
		l.oldest = c
	}
	l.newest = c
	l.n++
}

func (l *idleList[C, P]) remove(c *C) {
	i := P(c).unused()
	if i.prev != nil {
		P(i.prev).unused().next = i.next
	} else {
		l.oldest = i.next
	}
	if i.next != nil {
		P(i.next).unused().prev = i.prev
	} else {
		l.newest = i.prev
	}
	i.prev, i.next = nil, nil
	l.n--
}
