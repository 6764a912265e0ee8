package queueproxy

import (
	"context"
	"net"
	"time"
)

const (
	// readinessPatience is how long one probe request is held at most (contract, "Probes").
	readinessPatience = 10 * time.Second
	// startPatience is how long a request waits for an app that has never listened (contract, "Status codes").
	startPatience = time.Second
	// An app that listens and fails its probe is probed again after pauses that grow between these.
	firstRetry, lastRetry = 5 * time.Millisecond, 50 * time.Millisecond
)

// readiness finds out whether the app is ready. Probe requests that are open at the same time share one check.
type readiness struct {
	probers []*prober
	dial    DialFunc // nil: TCP
	user    string   // the app's address
	held    bool     // one of the probes is aggressive

	diagnosis *diagnosis

	check  shared // probes once
	ready  shared // probes until the app is ready
	listen shared // waits for the app to listen
}

func newReadiness(c Config) *readiness {
	r := &readiness{dial: c.Dial, user: c.UserAddr}
	r.diagnosis = newDiagnosis(c, r)
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

// probe returns whether the app is ready. If hold is true or a probe is aggressive, it waits for that, for patience at
// most; else it checks once. Its error is the cause of ctx.
func (r *readiness) probe(ctx context.Context, hold bool, patience time.Duration) (bool, error) {
	ready, err := r.await(ctx, hold, patience)
	if ready && err == nil {
		r.diagnosis.ready()
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

func (r *readiness) once(ctx context.Context) bool {
	for _, p := range r.probers {
		r.diagnosis.probing(p)
		if err := p.try(ctx); err != nil {
			if ctx.Err() == nil { // else the probe was cancelled
				r.diagnosis.failed(p, err)
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
	r.diagnosis.probing(p)
	if p.Kind == ProbeNever {
		r.diagnosis.failed(p, errNoHandler)
		<-ctx.Done()
		return false
	}
	needed := 1 // the kubelet counts the threshold of a plain probe
	if p.Aggressive {
		needed = max(1, p.SuccessThreshold)
	}
	pause := firstRetry
	for passed := 0; r.untilListening(ctx, p.Addr); {
		var err error
		if p.Kind != ProbeTCP { // a TCP probe passes when the app listens
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
				r.diagnosis.failed(p, err)
			}
		}
		if !sleep(ctx, pause) {
			return false
		}
		pause = min(pause*2, lastRetry)
	}
	return false
}

// untilListening blocks until a server accepts connections at addr; it returns false when ctx ends before.
func (r *readiness) untilListening(ctx context.Context, addr string) bool {
	if ap, ok := loopback(addr); ok && (r.dial == nil || addr != r.user) {
		if up, err := pollConnect(ctx, ap); err == nil {
			return up
		}
	}
	dial := (&net.Dialer{}).DialContext
	if r.dial != nil && addr == r.user {
		dial = r.dial
	}
	return untilDialled(ctx, dial, addr)
}

// untilDialled is untilListening for addresses and systems without pollConnect.
func untilDialled(ctx context.Context, dial DialFunc, addr string) bool {
	for pause := firstRetry; ctx.Err() == nil; pause = min(pause*2, lastRetry) {
		attempt, cancel := context.WithTimeout(ctx, time.Second)
		c, err := dial(attempt, "tcp", addr)
		cancel()
		if err == nil {
			_ = c.Close() // nothing was written
			return true
		}
		if !sleep(ctx, pause) {
			break
		}
	}
	return false
}

// sleep returns false if ctx ends before d has passed.
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
