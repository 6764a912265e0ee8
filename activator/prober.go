package activator

import (
	"context"
	"net"
	"strconv"
	"sync"
	"time"

	"github.com/sluice-proxy/sluice/throttler"
)

// pace is how often an address is probed.
type pace uint8

const (
	done    pace = iota // no more
	search              // as fast as it makes sense while requests wait, see pause
	watch               // it has passed, and its use depends on further probes
	examine             // a mesh seems to be in between, and the cluster IP serves
)

const (
	firstPause = time.Millisecond

	// pauseShare is the part of the time since the first probe that a pause may last: what polling adds to the start
	// of a pod is at most 1/64 of it.
	pauseShare = 64

	// pauseEach is what each pod under probe adds to the pauses, so that thousands of refused connections stay below
	// 10 000 dials a second in all.
	pauseEach = 100 * time.Microsecond

	// idlePause bounds a pause while no request waits for the revision, and those between examinations; watchPause
	// those of a pod that is in use.
	idlePause  = 5 * time.Second
	watchPause = 2 * time.Second

	// steadyShare is to watch and examine what pauseShare is to search.
	steadyShare = 8

	// urgentShare: when a request begins to wait, what was last asked longer ago than this part of ProbeFrequency is
	// asked at once.
	urgentShare = 8
)

// prober finds out which pods answer. Each pod under probe has a goroutine; run owns them.
type prober struct {
	timeout, frequency time.Duration
	dial               func(ctx context.Context, network, addr string) (net.Conn, error)
	dials              chan struct{} // a token for each probe that is being dialled and sent
	head               string        // of the request, up to the host

	mu      sync.Mutex
	ctx     context.Context // of run; nil before it
	ended   bool
	pending map[*probe]struct{} // started before run
	active  int
	wg      sync.WaitGroup
}

// probe is the questioning of one address.
type probe struct {
	addr     string
	revision throttler.RevisionID // of the pod, whose queue-proxy rejects a probe for another one; the zero value: of any
	host     string               // the Host that a mesh passes through to addr; empty: there is no such mesh
	kind     ProbeKind
	// found is called after each probe and returns the pace of the next. It may still be running when stop returns, so it
	// has to check that the probe hasn't been stopped.
	found  func(probeResult) pace
	demand *demand // of the revision; nil: as if a request always waited

	prober *prober
	cancel context.CancelFunc // nil: not running
}

func newProber(c Config) *prober {
	p := &prober{
		timeout:   c.ProbeTimeout,
		frequency: c.ProbeFrequency,
		dial:      c.Dial,
		dials:     make(chan struct{}, c.MaxProbeDials),
		pending:   map[*probe]struct{}{},
		head:      probeHead + strconv.FormatInt(c.ProbeTimeout.Milliseconds(), 10) + probeHost,
	}
	if p.dial == nil {
		p.dial = new(net.Dialer).DialContext
	}
	return p
}

// run starts probes until ctx is cancelled, and returns when the last has ended.
func (p *prober) run(ctx context.Context) {
	p.mu.Lock()
	p.ctx = ctx
	for pr := range p.pending {
		p.launchLocked(pr)
	}
	p.pending = nil
	p.mu.Unlock()

	<-ctx.Done()
	p.mu.Lock()
	p.ended = true
	p.mu.Unlock()
	p.wg.Wait()
}

// start begins a probe, when run runs. It doesn't block.
func (p *prober) start(pr *probe) {
	p.mu.Lock()
	defer p.mu.Unlock()
	pr.prober = p
	switch {
	case p.ended:
	case p.ctx == nil:
		p.pending[pr] = struct{}{}
	default:
		p.launchLocked(pr)
	}
}

func (p *prober) launchLocked(pr *probe) {
	ctx, cancel := context.WithCancel(p.ctx)
	pr.cancel = cancel
	p.active++
	p.wg.Go(func() {
		p.question(ctx, pr)
		cancel()
		p.mu.Lock()
		p.active--
		p.mu.Unlock()
	})
}

// stop ends pr, without waiting for it.
func (pr *probe) stop() {
	p := pr.prober
	p.mu.Lock()
	defer p.mu.Unlock()
	delete(p.pending, pr)
	if pr.cancel != nil {
		pr.cancel()
	}
}

// question asks until there is nothing more to find out or ctx ends.
func (p *prober) question(ctx context.Context, pr *probe) {
	at, began := search, time.Now()
	for ctx.Err() == nil {
		asked := time.Now()
		f := p.ask(ctx, pr)
		if ctx.Err() != nil {
			return
		}
		next := pr.found(f)
		if next == done {
			return
		}
		if next != at {
			at, began = next, time.Now()
		}
		p.pause(ctx, pr, at, began, asked)
	}
}

// pause sleeps before the next question. A search that has slowed down since no request waits, is woken by the first
// that does.
func (p *prober) pause(ctx context.Context, pr *probe, at pace, began, asked time.Time) {
	var wake <-chan struct{}
	if at == search {
		wake = pr.demand.idle()
	}
	d := p.interval(at, wake != nil, time.Since(began))
	if sleep(ctx, wake, time.Until(asked.Add(d))) {
		d = max(p.frequency/urgentShare, p.crowd())
		sleep(ctx, nil, time.Until(asked.Add(d)))
	}
}

// sleep sleeps for d, and reports whether it was woken before that.
func sleep(ctx context.Context, wake <-chan struct{}, d time.Duration) (woken bool) {
	if d <= 0 {
		return false
	}
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-ctx.Done():
	case <-t.C:
	case <-wake:
		return true
	}
	return false
}

// interval is the least time from one question to the next; a probe that was held took longer.
func (p *prober) interval(at pace, idle bool, elapsed time.Duration) time.Duration {
	var d time.Duration
	switch {
	case at == watch:
		d = min(max(elapsed/steadyShare, p.frequency), watchPause)
	case at == examine:
		d = min(max(elapsed/steadyShare, p.frequency), idlePause)
	case idle:
		d = min(elapsed/pauseShare, max(idlePause, p.frequency))
	default:
		d = min(elapsed/pauseShare, p.frequency)
	}
	return max(firstPause, d, p.crowd())
}

// crowd is the least interval that so many pods under probe allow.
func (p *prober) crowd() time.Duration {
	p.mu.Lock()
	defer p.mu.Unlock()
	return time.Duration(p.active) * pauseEach
}
