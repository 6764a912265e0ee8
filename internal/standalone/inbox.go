package standalone

import (
	"sync"
	"time"

	"github.com/sluice-proxy/sluice/activator"
	"github.com/sluice-proxy/sluice/metrics/statpb"
	"github.com/sluice-proxy/sluice/throttler"
)

// inbox takes what the activator tells, from the goroutines of requests, without ever blocking.
type inbox struct {
	poke chan struct{} // of one: there is something

	mu    sync.Mutex
	stats map[throttler.RevisionID]report
	colds []activator.ColdStart
	held  map[throttler.RevisionID]bool // a request waits, and there was no replica
}

// report is the latest statistics of a revision, by the activator, or of a replica, by its queue-proxy.
type report struct {
	stat *statpb.Stat
	at   time.Time
}

// maxColds bounds the cold starts that wait to be shown; more are not worth a line each.
const maxColds = 1000

func newInbox() *inbox {
	return &inbox{
		poke:  make(chan struct{}, 1),
		stats: map[throttler.RevisionID]report{},
		held:  map[throttler.RevisionID]bool{},
	}
}

// Send is activator.Reporter's.
func (i *inbox) Send(m *statpb.WireStatMessages) {
	now := time.Now()
	i.mu.Lock()
	for _, s := range m.GetMessages() {
		i.stats[throttler.RevisionID{Namespace: s.GetNamespace(), Name: s.GetName()}] = report{s.GetStat(), now}
	}
	i.mu.Unlock()
	i.wake()
}

// coldStart is for activator.Config.OnColdStart.
func (i *inbox) coldStart(c activator.ColdStart) {
	i.mu.Lock()
	if len(i.colds) < maxColds {
		i.colds = append(i.colds, c)
	}
	i.mu.Unlock()
	i.wake()
}

// hold is for activator.Config.OnHold.
func (i *inbox) hold(id throttler.RevisionID) {
	i.mu.Lock()
	i.held[id] = true
	i.mu.Unlock()
	i.wake()
}

func (i *inbox) wake() {
	select {
	case i.poke <- struct{}{}:
	default:
	}
}

// letters is what has come since the last time.
type letters struct {
	stats map[throttler.RevisionID]report
	colds []activator.ColdStart
	held  map[throttler.RevisionID]bool
}

// take empties the inbox.
func (i *inbox) take() letters {
	i.mu.Lock()
	defer i.mu.Unlock()
	l := letters{i.stats, i.colds, i.held}
	i.stats, i.colds, i.held = map[throttler.RevisionID]report{}, nil, map[throttler.RevisionID]bool{}
	return l
}
