package hpack

import "strconv"

// Encoder writes the header blocks of a connection. The zero value uses no dynamic table, so that a block doesn't depend
// on the ones before it: names are written by their index in the static table, values as they are.
//
// Nothing is Huffman-coded, as the RFC leaves to us (§5.2): the peer is in the same network, the code saves a fourth of the
// bytes of what is said once, and costs both ends (BenchmarkStrings).
type Encoder struct {
	entries *entries // nil: no dynamic table
	shrunk  uint32   // by how much the table is to be smaller than the default
	due     bool     // the next block has to say so
}

// UseTable makes e enter fields that repeat in the peer's dynamic table, until it is full.
func (e *Encoder) UseTable() {
	if e.entries == nil {
		e.entries = &entries{}
	}
}

// SetMaxTable takes the peer's SETTINGS_HEADER_TABLE_SIZE. More than the default isn't used.
func (e *Encoder) SetMaxTable(n uint32) {
	shrunk := defaultTable - min(n, defaultTable)
	if shrunk == e.shrunk {
		return
	}
	e.shrunk, e.due = shrunk, true
	if e.entries != nil {
		*e.entries = entries{}
	}
}

// Begin starts a block. After a change of the table's size it begins with updates: to 0, which empties the peer's table and
// is the smallest size that it may have asked for meanwhile, and to the new size (RFC 7541 §4.2).
func (e *Encoder) Begin(b []byte) []byte {
	if !e.due {
		return b
	}
	e.due = false
	b = append(b, 0x20)
	if size := defaultTable - e.shrunk; size > 0 {
		b = appendInt(b, 0x20, 5, uint64(size))
	}
	return b
}

// AppendField appends a field. The name may have capitals and is written in lower case. A sensitive field is written such
// that no one on its way enters it in a table (§6.2.3).
func (e *Encoder) AppendField(b []byte, name, value string, sensitive bool) []byte {
	k := find(name)
	if k == nil {
		b = append(b, literal(sensitive))
		return appendString(appendName(b, name), value)
	}
	index := uint64(k.first) // of the name
	pattern, bits := literal(sensitive), uint(4)
	if !sensitive && k.first > 0 {
		for i := k.first; i <= k.last; i++ {
			if static[i].Value == value {
				return append(b, 0x80|i)
			}
		}
	}
	if e.entries != nil && k.repeats > 0 {
		same, ofName := e.entries.find(k, value)
		switch {
		case same > 0 && !sensitive:
			return appendInt(b, 0x80, 7, same)
		case index == 0:
			index = ofName
		}
		if !sensitive && e.entries.enter(k, value, defaultTable-int(e.shrunk)) {
			pattern, bits = 0x40, 6
		}
	}
	b = appendInt(b, pattern, bits, index)
	if index == 0 {
		b = appendName(b, k.name)
	}
	return appendString(b, value)
}

// AppendStatus appends :status.
func (e *Encoder) AppendStatus(b []byte, status int) []byte {
	switch status {
	case 200:
		return append(b, 0x88)
	case 204:
		return append(b, 0x89)
	case 206:
		return append(b, 0x8a)
	case 304:
		return append(b, 0x8b)
	case 400:
		return append(b, 0x8c)
	case 404:
		return append(b, 0x8d)
	case 500:
		return append(b, 0x8e)
	}
	return strconv.AppendInt(append(b, 0x08, 3), int64(status), 10) // a literal whose name is that of index 8
}

// literal is the first byte of a literal that isn't entered in the table.
func literal(sensitive bool) byte {
	if sensitive {
		return 0x10
	}
	return 0
}

func appendString(b []byte, s string) []byte { return append(appendInt(b, 0, 7, uint64(len(s))), s...) }

func appendName(b []byte, name string) []byte {
	b = appendString(b, name)
	for i := len(b) - len(name); i < len(b); i++ {
		if c := b[i]; 'A' <= c && c <= 'Z' {
			b[i] = c | 0x20
		}
	}
	return b
}
