package proxy

import (
	"io"
	"sync/atomic"
	"testing"
)

// pieces is a source of reads of these sizes, and notes how much room each had.
type pieces struct {
	sizes []int
	room  int
}

func (p *pieces) Read(b []byte) (n int, err error) {
	if p.room = len(b); len(p.sizes) == 0 {
		return 0, io.EOF
	}
	n, p.sizes = p.sizes[0], p.sizes[1:]
	return n, nil
}

type nowhere struct{ io.Writer }

func (nowhere) CloseWrite() error { return nil }

// A lane takes a large buffer for what is much, and no longer than that.
func TestLaneFitsItsBuffer(t *testing.T) {
	h, err := New(Config{Name: "x", Policy: policyOfNothing{}})
	if err != nil {
		t.Fatal(err)
	}
	defer h.Close()
	var bytes atomic.Int64
	src := new(pieces)
	l := &lane{t: &tunnel{h: h, clock: new(clock)}, src: src, dst: nowhere{io.Discard}, bytes: &bytes}
	total := 0
	for i, c := range []struct {
		size, room int
		held       bool // afterwards
	}{
		{10, 4 << 10, false},
		{4 << 10, 4 << 10, false},
		{32 << 10, 32 << 10, true},
		{16 << 10, 32 << 10, true}, // a record of TLS
		{10, 32 << 10, false},
		{10, 4 << 10, false},
		{4 << 10, 4 << 10, false},
		{20, 32 << 10, false},
	} {
		src.sizes = []int{c.size}
		if rerr, werr := l.move(); rerr != nil || werr != nil {
			t.Fatal(rerr, werr)
		}
		if src.room != c.room || (l.large != nil) != c.held {
			t.Errorf("read %d, of %d bytes: room for %d, large buffer held %v; want %d, %v", i, c.size, src.room, l.large != nil, c.room, c.held)
		}
		if total += c.size; bytes.Load() != int64(total) {
			t.Errorf("%d bytes counted of %d", bytes.Load(), total)
		}
	}
	if rerr, _ := l.move(); rerr != io.EOF {
		t.Errorf("at the end: %v", rerr)
	}
}
