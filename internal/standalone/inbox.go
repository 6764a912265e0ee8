package standalone

import (
	"sync"
	"time"

	"github.com/sluice-proxy/sluice/activator"
	"github.com/sluice-proxy/sluice/broker"
	"github.com/sluice-proxy/sluice/metrics/statpb"
	"github.com/sluice-proxy/sluice/throttler"
)

// inbox receives the reports of activator and brokers, on the goroutines of requests and deliveries, without blocking.
type inbox struct {
	changed chan struct{} // of capacity one: it isn't empty

	mu    sync.Mutex
	stats map[throttler.RevisionID]report
	colds []activator.ColdStart
	held  map[throttler.RevisionID]bool // a request waits and there was no replica
	drops []drop
}

// drop is why a trigger doesn't deliver an event.
type drop struct {
	trigger broker.ID
	why     string
}

// report has the latest statistics of a revision from the activator, or of a replica from its queue-proxy.
type report struct {
	stat *statpb.Stat
	at   time.Time
}

// maxWaiting bounds the cold starts, and the drops, that wait to be shown; others aren't shown.
const maxWaiting = 1000

func newInbox() *inbox {
	return &inbox{
		changed: make(chan struct{}, 1),
		stats:   map[throttler.RevisionID]report{},
		held:    map[throttler.RevisionID]bool{},
	}
}

// Send implements activator.Reporter.
func (i *inbox) Send(m *statpb.WireStatMessages) {
	now := time.Now()
	i.mu.Lock()
	for _, s := range m.GetMessages() {
		i.stats[throttler.RevisionID{Namespace: s.GetNamespace(), Name: s.GetName()}] = report{s.GetStat(), now}
	}
	i.mu.Unlock()
	i.wake()
}

// coldStart is the activator's OnColdStart.
func (i *inbox) coldStart(c activator.ColdStart) {
	i.mu.Lock()
	if len(i.colds) < maxWaiting {
		i.colds = append(i.colds, c)
	}
	i.mu.Unlock()
	i.wake()
}

// hold is the activator's OnHold.
func (i *inbox) hold(id throttler.RevisionID) {
	i.mu.Lock()
	i.held[id] = true
	i.mu.Unlock()
	i.wake()
}

// dropped is the brokers' Dropped.
func (i *inbox) dropped(trigger broker.ID, why string) {
	i.mu.Lock()
	if len(i.drops) < maxWaiting {
		i.drops = append(i.drops, drop{trigger, why})
	}
	i.mu.Unlock()
	i.wake()
}

func (i *inbox) wake() {
	select {
	case i.changed <- struct{}{}:
	default:
	}
}

// messages is what the inbox has received since the last call of take.
type messages struct {
	stats map[throttler.RevisionID]report
	colds []activator.ColdStart
	held  map[throttler.RevisionID]bool
	drops []drop
}

// take empties the inbox.
func (i *inbox) take() messages {
	i.mu.Lock()
	defer i.mu.Unlock()
	l := messages{i.stats, i.colds, i.held, i.drops}
	i.stats, i.colds, i.held, i.drops = map[throttler.RevisionID]report{}, nil, map[throttler.RevisionID]bool{}, nil
	return l
}
