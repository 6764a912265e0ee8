package kube

import (
	"slices"
	"strings"
	"sync"

	"github.com/sluice-proxy/sluice/throttler"
)

// kind of objects that are listed and watched together.
type kind uint8

const (
	revisions kind = iota
	services
	endpoints
	kinds
)

// part is a part of a revision's state, which is published by itself.
type part uint8

const (
	partRevision part = 1 << iota
	partPeers
	partEndpoints
)

// table has all items, by kind and by revision.
type table struct {
	changed chan struct{} // of capacity one: all kinds have been listed and dirty may have entries

	mu      sync.Mutex
	items   [kinds]map[name]item
	listed  [kinds]bool
	entries map[throttler.RevisionID]*entry
	dirty   map[throttler.RevisionID]part
}

// entry has the items of a revision. Its slices are replaced, never changed.
type entry struct {
	revision    *revision
	service     *service
	pods, peers []*list // in the order of their names
}

func newTable() *table {
	t := &table{
		changed: make(chan struct{}, 1),
		entries: map[throttler.RevisionID]*entry{},
		dirty:   map[throttler.RevisionID]part{},
	}
	for k := range t.items {
		t.items[k] = map[name]item{}
	}
	return t
}

func (t *table) put(k kind, it item) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.putLocked(k, it)
	t.notifyLocked()
}

func (t *table) remove(k kind, n name) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.removeLocked(k, n)
	t.notifyLocked()
}

// replace replaces all items of a kind.
func (t *table) replace(k kind, all []item) {
	kept := make(map[name]struct{}, len(all))
	for _, it := range all {
		kept[it.at()] = struct{}{}
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	for n := range t.items[k] {
		if _, ok := kept[n]; !ok {
			t.removeLocked(k, n)
		}
	}
	for _, it := range all {
		t.putLocked(k, it)
	}
	t.listed[k] = true
	t.notifyLocked()
}

func (t *table) notifyLocked() {
	// Before all kinds have been listed a state would be incomplete, such as a revision with a cluster IP and no pods.
	if t.listed != [kinds]bool{true, true, true} {
		return
	}
	select {
	case t.changed <- struct{}{}:
	default:
	}
}

func (t *table) putLocked(k kind, it item) {
	old := t.items[k][it.at()]
	if same(old, it) {
		return
	}
	if old != nil {
		t.detachLocked(old)
	}
	t.items[k][it.at()] = it
	t.attachLocked(it)
}

func (t *table) removeLocked(k kind, n name) {
	if old := t.items[k][n]; old != nil {
		delete(t.items[k], n)
		t.detachLocked(old)
	}
}

func (t *table) attachLocked(it item) {
	switch it := it.(type) {
	case *revision:
		t.entryLocked(it.ID, partRevision).revision = it
	case *service:
		t.entryLocked(it.of, partEndpoints).service = it
	case *list:
		if it.public {
			e := t.entryLocked(it.of, partPeers)
			e.peers = with(e.peers, it)
		} else {
			e := t.entryLocked(it.of, partEndpoints)
			e.pods = with(e.pods, it)
		}
	}
}

func (t *table) detachLocked(it item) {
	switch it := it.(type) {
	case *revision:
		t.entryLocked(it.ID, partRevision).revision = nil
		t.tidyLocked(it.ID)
	case *service:
		if e := t.entryLocked(it.of, partEndpoints); e.service == it {
			e.service = nil
		}
		t.tidyLocked(it.of)
	case *list:
		if it.public {
			e := t.entryLocked(it.of, partPeers)
			e.peers = without(e.peers, it)
		} else {
			e := t.entryLocked(it.of, partEndpoints)
			e.pods = without(e.pods, it)
		}
		t.tidyLocked(it.of)
	}
}

// entryLocked returns the entry of a revision for a change of that part.
func (t *table) entryLocked(id throttler.RevisionID, p part) *entry {
	t.dirty[id] |= p
	e := t.entries[id]
	if e == nil {
		e = &entry{}
		t.entries[id] = e
	}
	return e
}

// tidyLocked deletes an empty entry.
func (t *table) tidyLocked(id throttler.RevisionID) {
	if e := t.entries[id]; e.revision == nil && e.service == nil && len(e.pods) == 0 && len(e.peers) == 0 {
		delete(t.entries, id)
	}
}

func with(all []*list, l *list) []*list {
	i, _ := slices.BinarySearchFunc(all, l, func(a, b *list) int { return strings.Compare(a.name.name, b.name.name) })
	return slices.Insert(slices.Clone(all), i, l)
}

func without(all []*list, l *list) []*list {
	return slices.DeleteFunc(slices.Clone(all), func(o *list) bool { return o == l })
}

// change is the newest state of a revision, and which parts of it have changed.
type change struct {
	id    throttler.RevisionID
	parts part
	entry
}

// take appends the changes since the last call to buf.
func (t *table) take(buf []change) []change {
	t.mu.Lock()
	defer t.mu.Unlock()
	for id, parts := range t.dirty {
		c := change{id: id, parts: parts}
		if e := t.entries[id]; e != nil {
			c.entry = *e
		}
		buf = append(buf, c)
	}
	clear(t.dirty)
	return buf
}
