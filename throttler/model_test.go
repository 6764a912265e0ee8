package throttler

import (
	"context"
	"errors"
	"slices"
	"sync/atomic"
	"time"

	"pgregory.net/rapid"

	"github.com/sluice-proxy/sluice/internal/quota"
)

// model is a throttler with one revision, done the naive way: slices, searched from one end to the other.
// Where the real one draws a random number the model adopts the result, if it was allowed.
type model struct {
	known    bool
	down     bool // SetUnavailable
	config   RevisionConfig
	pods     map[string]*modelPod
	order    []*modelPod // nil where a pod has left
	cursor   int
	queue    []*call // oldest first
	leases   []modelLease
	clock    int // counts grants and back-offs
	handed   uint64
	declined uint64
}

type modelPod struct {
	Backend
	listed    bool
	inFlight  int
	why       backOffReason
	until     time.Time
	failures  int
	declines  int
	backedOff int // clock of the last back-off
}

type modelLease struct {
	Lease
	pod   *modelPod
	given int // clock of the grant
}

// call is one Acquire that is waiting, or was.
type call struct {
	cancel      context.CancelFunc
	since       time.Time
	not         [2]string
	noSpillover bool
	bytes       int
	done        atomic.Bool // a timer that wakes the goroutine is no synchronisation with us
	lease       Lease
	err         error
}

func (p *modelPod) usable() bool { return p.listed && p.State == Ready && p.why == inUse }

func (p *modelPod) ownSlot() bool {
	return p.usable() && p.Own && (p.Slots == 0 || p.inFlight < p.Slots)
}

func (p *modelPod) remote() bool { return p.usable() && !p.Own && p.Spillover && p.inFlight == 0 }

func (m *model) rule() Pick {
	if m.config.Pick != PickAuto {
		return m.config.Pick
	}
	rule := PickFirstAvailable
	for _, p := range m.order {
		switch {
		case p != nil && p.Slots == 0:
			return PickLeastInFlight
		case p != nil && p.Slots > firstAvailableSlots:
			rule = PickRoundRobin
		}
	}
	return rule
}

// allowed is every pod that a request may be given now; empty if it has to wait.
func (m *model) allowed(not [2]string, noSpillover bool) []*modelPod {
	if m.known {
		for _, avoid := range [][2]string{not, {}} {
			var home, remote []*modelPod
			for i := range m.order {
				p := m.order[(i+m.cursor)%len(m.order)]
				switch {
				case p == nil || slices.Contains(avoid[:], p.ID):
				case p.ownSlot():
					home = append(home, p)
				case p.remote() && !noSpillover:
					remote = append(remote, p)
				}
			}
			if len(home) > 0 {
				return m.byRule(home)
			}
			if len(remote) > 0 {
				return remote
			}
		}
	}
	return nil
}

// byRule narrows down own pods with a free slot, given in order from the cursor on.
func (m *model) byRule(home []*modelPod) []*modelPod {
	switch m.rule() {
	case PickRoundRobin:
		return home[:1]
	case PickLeastInFlight:
		least := slices.MinFunc(home, func(a, b *modelPod) int { return a.inFlight - b.inFlight }).inFlight
		return slices.DeleteFunc(home, func(p *modelPod) bool { return p.inFlight > least })
	}
	first := slices.MinFunc(home, func(a, b *modelPod) int {
		return slices.Index(m.order, a) - slices.Index(m.order, b)
	})
	return []*modelPod{first}
}

// grant adopts a lease if it was allowed.
func (m *model) grant(t *rapid.T, l Lease, not [2]string, noSpillover bool) {
	allowed := m.allowed(not, noSpillover)
	p := m.pods[l.ID()]
	if !slices.Contains(allowed, p) {
		var ids []string
		for _, a := range allowed {
			ids = append(ids, a.ID)
		}
		t.Fatalf("given %q avoiding %q, allowed %v", l.ID(), not, ids)
	}
	if l.Addr() != p.Addr || l.Spillover() == p.Own {
		t.Fatalf("lease of %q: addr %s, spilled %v; pod %+v", l.ID(), l.Addr(), l.Spillover(), p)
	}
	if p.Own {
		m.cursor = slices.Index(m.order, p) + 1
	}
	m.clock++
	p.inFlight++
	m.leases = append(m.leases, modelLease{l, p, m.clock})
}

// serve removes the oldest calls while there is a pod for them: exactly these must have been served.
func (m *model) serve(t *rapid.T) {
	for i := m.servable(); i >= 0; i = m.servable() {
		c := m.queue[i]
		if !c.done.Load() || c.err != nil {
			t.Fatalf("a slot is free and the oldest waiter has none: done %v, %v", c.done.Load(), c.err)
		}
		m.queue = slices.Delete(m.queue, i, i+1)
		m.handed++
		m.grant(t, c.lease, c.not, c.noSpillover)
	}
	if m.hopeless() {
		for _, c := range m.queue {
			if !c.done.Load() || !errors.Is(c.err, errDown) {
				t.Fatalf("waits for a pod that isn't to be expected: done %v, %v", c.done.Load(), c.err)
			}
		}
		m.queue = nil
	}
	for i, c := range m.queue {
		if c.done.Load() {
			t.Fatalf("waiter %d of %d is back without a free slot: %q, %v", i, len(m.queue), c.lease.ID(), c.err)
		}
	}
}

var errDown = errors.New("the app crashes")

// hopeless says that no pod is listed as Ready, nor to be expected.
func (m *model) hopeless() bool {
	return m.down && !slices.ContainsFunc(m.order, func(p *modelPod) bool { return p != nil && p.State == Ready })
}

// servable is the index of the first call that there is a pod for, or -1.
func (m *model) servable() int {
	return slices.IndexFunc(m.queue, func(c *call) bool { return len(m.allowed(c.not, c.noSpillover)) > 0 })
}

// mayEnter says whether a new request is served at once: there is a pod for it, and none for a call that waits.
func (m *model) mayEnter(not [2]string, noSpillover bool) bool {
	return len(m.allowed(not, noSpillover)) > 0 && m.servable() < 0
}

func (m *model) wait(c *call) {
	i := 0
	for i < len(m.queue) && !m.queue[i].since.After(c.since) {
		i++
	}
	m.queue = slices.Insert(m.queue, i, c)
}

// refusal says which error a request that has to wait gets at once.
func (m *model) refusal(newcomer *call, total Config) error {
	bound, bytes := m.config.withDefaults().MaxWaiting, 0
	for _, c := range m.queue {
		bytes += c.bytes
	}
	fits := func(limit, used, n int64, own bool) bool { // there is no other revision, and no client
		b := quota.New(limit)
		b.Take(used, 0, 0)
		if own {
			return b.Take(n, used, 0)
		}
		return b.Take(n, 0, 0)
	}
	first := len(m.queue) > 0 && newcomer.since.Before(m.queue[0].since)
	switch {
	case !m.known:
		return ErrUnknownRevision
	case m.hopeless():
		return errDown
	case len(m.queue) >= bound && !first:
		return ErrQueueFull
	case !fits(int64(total.MaxWaiting), int64(len(m.queue)), 1, !first),
		newcomer.bytes > 0 && !fits(total.MaxWaitingBytes, int64(bytes), int64(newcomer.bytes), !first):
		return ErrOverloaded
	}
	return nil
}

func (m *model) list(b Backend) {
	p := m.pods[b.ID]
	if p == nil {
		p = &modelPod{}
		m.pods[b.ID] = p
	}
	if !p.listed {
		i := slices.Index(m.order, nil)
		if i < 0 {
			i = len(m.order)
			m.order = append(m.order, nil)
		}
		m.order[i] = p
	}
	if p.Addr != b.Addr || b.Own && !p.Own && p.why == declined {
		p.why = inUse
	}
	p.listed, p.Backend = true, b
}

func (m *model) unlist(id string) {
	if p := m.pods[id]; p != nil && p.listed {
		m.order[slices.Index(m.order, p)] = nil
		p.listed, p.why = false, inUse
		m.prune(p)
	}
}

// prune forgets a pod that is not listed and has no leases.
func (m *model) prune(p *modelPod) {
	if !p.listed && p.inFlight == 0 {
		delete(m.pods, p.ID)
	}
}
