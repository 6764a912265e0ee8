package activator

import (
	"bufio"
	"context"
	"io"
	"net"
	"net/http"
	"strings"
	"sync"
	"time"

	"github.com/sluice-proxy/sluice/internal/knative"
)

const (
	firstPause = time.Millisecond

	// pauseShare is the part of the time since the first probe that a pause may last: what polling adds to the start
	// of a pod is at most 1/64 of it.
	pauseShare = 64

	// pauseEach is what each pod under probe adds to the pauses, so that thousands of refused connections stay below
	// 10 000 dials a second in all.
	pauseEach = 100 * time.Microsecond

	// maxProbeAnswer bounds what is read of an answer.
	maxProbeAnswer = 16 << 10

	// probeHead is the request, up to the address.
	probeHead = "GET " + knative.ProbePath + " HTTP/1.1\r\n" +
		knative.HeaderProbe + ": " + knative.ProbeQueue + "\r\n" +
		"User-Agent: " + knative.UserAgentActivator + "\r\n" +
		"Connection: close\r\n" +
		"Host: "
)

// prober finds out which pods answer. Each pod under probe has a goroutine; run owns them.
type prober struct {
	timeout, frequency time.Duration
	dial               func(ctx context.Context, network, addr string) (net.Conn, error)
	dials              chan struct{} // a token for each probe that is being dialled and sent

	mu      sync.Mutex
	ctx     context.Context // of run; nil before it
	ended   bool
	pending map[*probe]struct{} // started before run
	active  int
	wg      sync.WaitGroup
}

// probe is the search for an answer from one address.
type probe struct {
	addr string
	// passed is called once, when a probe has succeeded, unless the probe was stopped before. It may still be
	// running when stop returns, so it has to look whether its news is wanted.
	passed func(lend bool)

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
	}
	if p.dial == nil {
		p.dial = new(net.Dialer).DialContext
	}
	return p
}

// run lets probes run until ctx is cancelled, and returns when the last has ended.
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
	p.wg.Go(func() { p.search(ctx, pr) })
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

// search asks until a probe succeeds or ctx ends.
func (p *prober) search(ctx context.Context, pr *probe) {
	ok, lend := p.ask(ctx, pr.addr)
	for began, asked := time.Now(), time.Now(); !ok && ctx.Err() == nil; ok, lend = p.ask(ctx, pr.addr) {
		sleep(ctx, p.pause(time.Since(began))-time.Since(asked))
		asked = time.Now()
	}
	p.mu.Lock()
	p.active--
	wanted := ctx.Err() == nil
	pr.cancel()
	p.mu.Unlock()
	if ok && wanted {
		pr.passed(lend)
	}
}

// pause is the least time from one probe to the next; a probe that was held took longer.
func (p *prober) pause(elapsed time.Duration) time.Duration {
	p.mu.Lock()
	all := time.Duration(p.active) * pauseEach
	p.mu.Unlock()
	return max(firstPause, min(elapsed/pauseShare, p.frequency), all)
}

func sleep(ctx context.Context, d time.Duration) {
	if d <= 0 {
		return
	}
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-ctx.Done():
	case <-t.C:
	}
}

// ask makes one probe, which a pod may hold until its app is ready. A token is held until the request is on its way.
// It is written by hand, and on a connection of its own, since ten thousand may be held at once.
func (p *prober) ask(ctx context.Context, addr string) (ok, lend bool) {
	select {
	case p.dials <- struct{}{}:
	case <-ctx.Done():
		return false, false
	}
	release := sync.OnceFunc(func() { <-p.dials })
	defer release()

	ctx, cancel := context.WithTimeout(ctx, p.timeout)
	defer cancel()
	conn, err := p.dial(ctx, "tcp", addr)
	if err != nil {
		return false, false
	}
	defer conn.Close()
	defer context.AfterFunc(ctx, func() { _ = conn.SetDeadline(time.Unix(1, 0)) })()
	if _, err := io.WriteString(conn, probeHead+addr+"\r\n\r\n"); err != nil {
		return false, false
	}
	release()
	resp, err := http.ReadResponse(bufio.NewReaderSize(io.LimitReader(conn, maxProbeAnswer), 512), nil)
	if err != nil {
		return false, false
	}
	defer resp.Body.Close()
	return judgeProbe(resp)
}

// judgeProbe says whether the queue-proxy said yes, and whether requests may be lent to it.
func judgeProbe(resp *http.Response) (ok, lend bool) {
	body, err := io.ReadAll(io.LimitReader(resp.Body, int64(len(knative.ProbeQueue))+1))
	if err != nil || resp.StatusCode != http.StatusOK || string(body) != knative.ProbeQueue {
		return false, false
	}
	for _, list := range resp.Header[knative.HeaderFeatures] {
		for feature := range strings.SplitSeq(list, ",") {
			lend = lend || strings.TrimSpace(feature) == knative.FeatureNoQueue
		}
	}
	return true, lend
}
