package hpack

import "strings"

const (
	// perName is how many values of a name an Encoder enters, so that one with ever new values neither fills the table nor
	// is looked for in a long list.
	perName = 8
	// longestValue keeps one from filling it. Those of browsers have up to 200 bytes.
	longestValue = 256
)

// entries are what an Encoder has entered in the peer's dynamic table. None is evicted.
type entries struct {
	all  []entry               // the oldest first
	last [len(repeating)]uint8 // by name: 1 + the place of its newest
	n    [len(repeating)]uint8 // by name: how many
	size int
}

type entry struct {
	value string
	older uint8 // 1 + the place of the next older one of the same name: a table of 4096 bytes has at most 128
}

// find returns the index of a field, and of any field of its name (RFC 7541 §2.3.3); 0 is none.
func (t *entries) find(k *known, value string) (same, ofName uint64) {
	for at := t.last[k.repeats-1]; at > 0; at = t.all[at-1].older {
		ofName = uint64(len(static) + len(t.all) - int(at))
		if t.all[at-1].value == value {
			return ofName, ofName
		}
	}
	return 0, ofName
}

// enter enters a field, if it has room in a table of max bytes.
func (t *entries) enter(k *known, value string, max int) bool {
	size := len(k.name) + len(value) + overhead
	i := k.repeats - 1
	if t.size+size > max || t.n[i] == perName || len(value) > longestValue {
		return false
	}
	t.all = append(t.all, entry{strings.Clone(value), t.last[i]})
	t.last[i] = uint8(len(t.all))
	t.n[i]++
	t.size += size
	return true
}
