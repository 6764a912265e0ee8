package player

import (
	"crypto/rand"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/sluice-proxy/sluice/internal/cloudevent"
)

// kind is what has happened to an event, as the original player calls it.
type kind string

const (
	received kind = "RECEIVED"
	sent     kind = "SENT"
	failed   kind = "FAILED"
)

// entry is one event in the feed.
type entry struct {
	number int64
	at     time.Time
	kind   kind
	event  cloudevent.Event
	epoch  string // of the event's key; "": it has none
	reason string // why it failed
	size   int
}

// Bounds of a feed. The number is the original player's.
const (
	mostEntries = 200
	mostBytes   = 4 << 20
)

// feed has the newest entries. Make one with newFeed.
type feed struct {
	name string // of this feed, since another process's has the same numbers

	mu      sync.Mutex
	entries []entry // oldest first
	size    int     // sum of theirs
	last    int64   // number of the newest
	gone    int64   // number of the newest that is no longer in entries
	changed chan struct{}
}

func newFeed() *feed { return &feed{name: rand.Text(), changed: make(chan struct{})} }

// add appends a copy of e, and drops what is beyond the bounds.
func (f *feed) add(e entry) {
	record := e.event.AppendTo(nil) // the event may be a small part of a large body
	if own, err := cloudevent.Parse(record); err == nil {
		e.event = own
	}
	e.at, e.size = time.Now(), len(record)+len(e.reason)
	f.mu.Lock()
	defer f.mu.Unlock()
	f.last++
	e.number = f.last
	f.entries = append(f.entries, e)
	f.size += e.size
	drop := 0
	for ; len(f.entries)-drop > mostEntries || f.size > mostBytes; drop++ {
		f.size -= f.entries[drop].size
		f.gone = f.entries[drop].number
	}
	f.entries = slices.Delete(f.entries, 0, drop)
	f.announceLocked()
}

// clear drops all entries.
func (f *feed) clear() {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.last++ // so that a reader that has read everything is behind
	f.entries, f.size, f.gone = nil, 0, f.last
	f.announceLocked()
}

func (f *feed) announceLocked() {
	close(f.changed)
	f.changed = make(chan struct{})
}

// place is how far a reader has read.
func (f *feed) place(number int64) string { return f.name + "-" + strconv.FormatInt(number, 10) }

// batch is what a reader gets.
type batch struct {
	entries []entry // oldest first
	whole   bool    // they are all that there are, and take the place of what the reader has
	place   string  // after them
	changed <-chan struct{}
}

// after returns what came after a place. It is the whole feed for one that isn't this feed's, or after which some are gone.
func (f *feed) after(place string) batch {
	f.mu.Lock()
	defer f.mu.Unlock()
	b := batch{whole: true, place: f.place(f.last), changed: f.changed, entries: slices.Clone(f.entries)}
	name, number, _ := strings.Cut(place, "-")
	if n, err := strconv.ParseInt(number, 10, 64); err == nil && name == f.name && n >= f.gone && n <= f.last {
		b.whole = false
		b.entries = slices.DeleteFunc(b.entries, func(e entry) bool { return e.number <= n })
	}
	return b
}
