package h2

import "slices"

// closed remembers the streams that we have reset, for which frames may still be on their way (RFC 9113 §5.1). Of all but the
// latest, only the highest id is known.
type closed struct {
	latest    [32]uint32
	n         int    // that have been added
	forgotten uint32 // the highest id that is no longer in latest
}

func (m *closed) add(id uint32) {
	at := &m.latest[m.n%len(m.latest)]
	m.forgotten = max(m.forgotten, *at)
	*at = id
	m.n++
}

// has reports whether id was added, or may have been.
func (m *closed) has(id uint32) bool {
	return id <= m.forgotten || slices.Contains(m.latest[:], id)
}
