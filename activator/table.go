package activator

import (
	"sync"

	"github.com/sluice-proxy/sluice/throttler"
)

// table has the revisions of which anything is known.
type table struct {
	mu   sync.RWMutex
	byID map[throttler.RevisionID]*tracked
}

func (b *table) get(namespace, name string) *tracked {
	b.mu.RLock()
	defer b.mu.RUnlock()
	return b.byID[throttler.RevisionID{Namespace: namespace, Name: name}]
}

func (b *table) all() []*tracked {
	b.mu.RLock()
	defer b.mu.RUnlock()
	all := make([]*tracked, 0, len(b.byID))
	for _, t := range b.byID {
		all = append(all, t)
	}
	return all
}

func (b *table) getOrMake(id throttler.RevisionID, a *Activator) *tracked {
	b.mu.Lock()
	defer b.mu.Unlock()
	t := b.byID[id]
	if t == nil {
		t = newTracked(a, id)
		b.byID[id] = t
	}
	return t
}

func (b *table) remove(t *tracked) {
	b.mu.Lock()
	defer b.mu.Unlock()
	delete(b.byID, t.id)
}
