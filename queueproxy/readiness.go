package queueproxy

import (
	"context"
	"net"
	"time"
)

const (
	// readinessPatience is how long one probe request is held for (contract, "Probes").
	readinessPatience = 10 * time.Second
	// startPatience is how long a request waits for an app that has never been up to listen (contract, "Status codes").
	startPatience = time.Second
	// After the app has begun to listen but failed its probe it is asked again in steps that grow between these.
	firstRetry, lastRetry = 5 * time.Millisecond, 50 * time.Millisecond
)

// readiness knows whether the app is ready. All who ask at once share one check, or one watch.
type readiness struct {
	probers []*prober
	dial    DialFunc // nil: TCP
	user    string   // the app's address
	held    bool     // whether one of the probes is aggressive

	ailment *ailment

	check  shared // asks once
	ready  shared // asks until the app is ready
	listen shared // waits for the app to listen
}

func newReadiness(c Config) *readiness {
	r := &readiness{dial: c.Dial, user: c.UserAddr}
	r.ailment = newAilment(c, r)
	for _, p := range c.Probes {
		dial := (&net.Dialer{}).DialContext
		if c.Dial != nil && p.Addr == c.UserAddr {
			dial = c.Dial
		}
		r.probers = append(r.probers, newProber(p, dial, c.HTTP2AutoDetection))
		r.held = r.held || p.Aggressive
	}
	r.check.task, r.ready.task = r.once, r.untilReady
	r.listen.task = func(ctx context.Context) bool { return r.untilListening(ctx, r.user) }
	return r
}

// probe answers a probe request: at the moment the app is ready when hold is true or a probe is aggressive, and after
// at most patience; else after one check. Its error is that of ctx.
func (r *readiness) probe(ctx context.Context, hold bool, patience time.Duration) (bool, error) {
	ready, err := r.await(ctx, hold, patience)
	if ready && err == nil {
		r.ailment.well()
	}
	return ready, err
}

func (r *readiness) await(ctx context.Context, hold bool, patience time.Duration) (bool, error) {
	if len(r.probers) == 0 {
		return true, nil
	}
	if !hold && !r.held {
		return r.check.wait(ctx)
	}
	held, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	ready, err := r.ready.wait(held)
	if err != nil && ctx.Err() == nil {
		return false, nil
	}
	return ready, err
}

// awaitListen blocks until the app listens, startPatience at most.
func (r *readiness) awaitListen(ctx context.Context) bool {
	ctx, cancel := context.WithTimeout(ctx, startPatience)
	defer cancel()
	up, err := r.listen.wait(ctx)
	return up && err == nil
}

func (r *readiness) once(ctx context.Context) bool {
	for _, p := range r.probers {
		r.ailment.probing(p)
		if err := p.try(ctx); err != nil {
			if ctx.Err() == nil { // else nobody wants to know any more
				r.ailment.failed(p, err)
			}
			return false
		}
	}
	return true
}

func (r *readiness) untilReady(ctx context.Context) bool {
	for _, p := range r.probers {
		if !r.untilPassed(ctx, p) {
			return false
		}
	}
	return true
}

func (r *readiness) untilPassed(ctx context.Context, p *prober) bool {
	r.ailment.probing(p)
	if p.Kind == ProbeNever {
		r.ailment.failed(p, errNoHandler)
		<-ctx.Done()
		return false
	}
	needed := 1 // a plain probe's threshold is counted by the kubelet
	if p.Aggressive {
		needed = max(1, p.SuccessThreshold)
	}
	pause := firstRetry
	for passed := 0; r.untilListening(ctx, p.Addr); {
		var err error
		if p.Kind != ProbeTCP { // to listen is all that TCP asks for
			err = p.try(ctx)
		}
		if err == nil {
			if passed++; passed == needed {
				return true
			}
			pause = firstRetry
		} else {
			passed = 0
			if ctx.Err() == nil {
				r.ailment.failed(p, err)
			}
		}
		if !sleep(ctx, pause) {
			return false
		}
		pause = min(pause*2, lastRetry)
	}
	return false
}

// untilListening blocks until somebody accepts connections at addr; false when ctx ends before.
func (r *readiness) untilListening(ctx context.Context, addr string) bool {
	if ap, ok := loopback(addr); ok && (r.dial == nil || addr != r.user) {
		if up, err := untilKnocked(ctx, ap); err == nil {
			return up
		}
	}
	dial := (&net.Dialer{}).DialContext
	if r.dial != nil && addr == r.user {
		dial = r.dial
	}
	return untilDialled(ctx, dial, addr)
}

// untilDialled is untilListening where a connection can't be tried cheaply.
func untilDialled(ctx context.Context, dial DialFunc, addr string) bool {
	for pause := firstRetry; ctx.Err() == nil; pause = min(pause*2, lastRetry) {
		attempt, cancel := context.WithTimeout(ctx, time.Second)
		c, err := dial(attempt, "tcp", addr)
		cancel()
		if err == nil {
			_ = c.Close() // it was only to see whether it opens
			return true
		}
		if !sleep(ctx, pause) {
			break
		}
	}
	return false
}

// sleep reports whether it slept for all of d.
func sleep(ctx context.Context, d time.Duration) bool {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return true
	case <-ctx.Done():
		return false
	}
}

func (r *readiness) close() {
	r.check.close()
	r.ready.close()
	r.listen.close()
	for _, p := range r.probers {
		p.close()
	}
}
