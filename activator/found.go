package activator

import (
	"sync"
	"time"
)

// A pod in use goes out of it when so many probes in a row fail: one may be lost on a busy machine.
const failures = 2

// pass is a probe that succeeded.
type pass struct {
	pod      *pod
	probe    *probe
	declines bool
}

// passes collects what has passed while tracked.mu was held by others, so that a thousand pods that pass together cost
// a few updates, not a thousand.
type passes struct {
	mu  sync.Mutex
	all []pass
}

func (q *passes) add(p pass) {
	q.mu.Lock()
	q.all = append(q.all, p)
	q.mu.Unlock()
}

func (q *passes) take() []pass {
	q.mu.Lock()
	defer q.mu.Unlock()
	all := q.all
	q.all = nil
	return all
}

// found is what a probe of p found out. It is called by the goroutine of the probe, and says how that goes on.
func (t *tracked) found(p *pod, pr *probe, f probeResult) pace {
	if f.status == passed {
		t.passing.add(pass{p, pr, f.declines})
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	if f.status == passed {
		t.passLocked(t.passing.take())
	} else if p.probe == pr {
		t.failLocked(p, f)
	}
	switch {
	case p.probe != pr: // stopped, or there is nothing more to find out
		return done
	case p.passed && p.fails == 0:
		return watch
	case t.meshed && p != &t.cluster:
		return examine
	}
	return search
}

// passLocked puts pods to use.
func (t *tracked) passLocked(all []pass) {
	s := t.spec.Load()
	if s == nil {
		return
	}
	var changed []*pod
	for _, ps := range all {
		p := ps.pod
		if p.probe != ps.probe { // stopped meanwhile
			continue
		}
		if !p.passed || p.declines != ps.declines {
			changed = append(changed, p)
		}
		if !p.passed {
			p.since = time.Now()
		}
		p.passed, p.status, p.fails, p.declines = true, passed, 0, ps.declines
		t.proveLocked(p)
		if !t.watchedLocked(p, s) {
			p.probe = nil
		}
	}
	t.reconcileLocked(changed, nil)
}

// failLocked takes a pod that was in use out of it.
func (t *tracked) failLocked(p *pod, f probeResult) {
	p.fails++
	p.blame(f, time.Now())
	t.worst = p
	v := f.status
	switch {
	case p.passed && p.fails < failures && !t.meshed:
	case p.passed:
		p.passed, p.status, t.proving = false, v, false
		t.reconcileLocked([]*pod{p}, nil)
	case p.status != v:
		p.status = v
		t.reconcileLocked(nil, nil)
	}
}

// remembered is for how long what a queue-proxy has said of its app stands against probes that time out, as one may on
// a busy machine.
const remembered = 5 * time.Second

// blame keeps why a probe has failed.
func (p *pod) blame(f probeResult, now time.Time) {
	if f.cause == noAnswer && f.detail == "" && p.why.cause == notReady && now.Sub(p.blamed) < remembered {
		return
	}
	p.why, p.blamed = f, now
}

// suspect has a pod probed again before further use, since it or its app could not be reached: the probe passes when
// they can. Requests in flight stay counted.
func (t *tracked) suspect(id string) {
	t.mu.Lock()
	defer t.mu.Unlock()
	s, p := t.spec.Load(), t.pods[id]
	if id == clusterID {
		p = &t.cluster
	}
	if s == nil || p == nil || !p.passed && !p.trusted {
		return
	}
	p.restart()
	t.probeLocked(p)
	t.reconcileLocked([]*pod{p}, nil)
}
