package h2

import "github.com/sluice-proxy/sluice/proxy/internal/h1"

// Spare is memory that connections use in turn, so that an idle one holds none: streams that have ended, and the list of
// fields of the head that is being read. The zero value is ready.
type Spare struct {
	free    *Stream // linked by next
	n       int
	fields  h1.Fields
	request Request
}

// maxSpare bounds the streams that are kept, of about 100 bytes each.
const maxSpare = 1024

func (m *Spare) get() *Stream {
	s := m.free
	if s == nil {
		return new(Stream)
	}
	m.free, s.next = s.next, nil
	m.n--
	return s
}

// put takes a list of streams that nobody uses any more.
func (m *Spare) put(all *Stream) {
	for s := all; s != nil; {
		next := s.next
		if m.n < maxSpare {
			*s = Stream{next: m.free}
			m.free = s
			m.n++
		}
		s = next
	}
}
