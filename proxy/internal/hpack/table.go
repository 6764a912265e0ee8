package hpack

import "github.com/sluice-proxy/sluice/proxy/internal/h1"

// defaultTable is the size of a dynamic table until SETTINGS say otherwise (RFC 9113 §6.5.2).
const defaultTable = 4096

// overhead is what an entry counts besides its name and value (RFC 7541 §4.1); so do the fields of a list for
// SETTINGS_MAX_HEADER_LIST_SIZE (RFC 9113 §6.5.2).
const overhead = 32

func sizeOf(f *h1.Field) int { return len(f.Name) + len(f.Value) + overhead }

// table is the dynamic table of a Decoder.
type table struct {
	ring      []h1.Field // of a length that is a power of two
	next, n   int        // where the next entry goes (modulo the length), and how many there are
	size, max int
}

// at returns the entry of age i: 0 is the newest.
func (t *table) at(i int) *h1.Field { return &t.ring[(t.next-1-i)&(len(t.ring)-1)] }

// add makes room for f and enters it. One that is larger than the table only empties it (RFC 7541 §4.4).
func (t *table) add(f h1.Field) {
	size := sizeOf(&f)
	t.shrink(t.max - size)
	if size > t.max {
		return
	}
	if t.n == len(t.ring) {
		t.grow()
	}
	t.ring[t.next&(len(t.ring)-1)] = f
	t.next++
	t.n++
	t.size += size
}

// shrink evicts the oldest entries until the rest is no larger than to.
func (t *table) shrink(to int) {
	for t.n > 0 && t.size > to {
		oldest := t.at(t.n - 1)
		t.size -= sizeOf(oldest)
		*oldest = h1.Field{}
		t.n--
	}
}

func (t *table) grow() {
	ring := make([]h1.Field, max(8, 2*len(t.ring)))
	for i := range t.n {
		ring[i] = *t.at(t.n - 1 - i)
	}
	t.ring, t.next = ring, t.n
}
