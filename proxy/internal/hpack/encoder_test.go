package hpack

import (
	"fmt"
	"strings"
	"testing"
	"unsafe"
)

// The second time a field whose name repeats takes one byte; a name that may be a secret or an identifier is written out
// each time.
func TestWhatIsEntered(t *testing.T) {
	var e Encoder
	e.UseTable()
	for _, c := range []struct {
		name   string
		first  int // bytes of the name the first time
		second int // of all
	}{
		{"User-Agent", 1, 1},
		{"user-agent", -4, 1}, // as before
		{":authority", 1, 1},
		{"Grpc-Encoding", 15, 1},
		{"cookie", 2, 2 + 5},
		{"Authorization", 2, 2 + 5},
		{":path", 1, 1 + 5},
		{"traceparent", 13, 13 + 5},
		{"x-request-id", 14, 14 + 5},
	} {
		first, second := len(e.AppendField(nil, c.name, "some", false)), len(e.AppendField(nil, c.name, "some", false))
		if first != c.first+5 || second != c.second {
			t.Errorf("%s takes %d bytes, then %d", c.name, first, second)
		}
	}
	if b := e.AppendField(nil, "user-agent", "some", true); len(b) != 2+5 || b[0] != 0x1f {
		t.Errorf("a sensitive field is written as %x", b)
	}
}

func TestNamesAreFoundInAnyCase(t *testing.T) {
	for i := range names[1:] {
		k := &names[1+i]
		for _, name := range []string{k.name, k.canonical, strings.ToUpper(k.name)} {
			if find(name) != k {
				t.Errorf("%s isn't found", name)
			}
		}
		for _, name := range []string{k.name + "x", k.name[1:], "x" + k.name[1:], "\x00" + k.name[1:], ""} {
			if got := find(name); got != nil && got.name != name {
				t.Errorf("%q is taken for %s", name, got.name)
			}
		}
	}
	for i := 1; i < len(static); i++ {
		if k := find(static[i].Name); int(k.first) > i || int(k.last) < i {
			t.Errorf("%s is at %d to %d", k.name, k.first, k.last)
		}
	}
}

// A name with ever new values leaves the table to others, and so does a long value.
func TestTableIsNotFilledByOneName(t *testing.T) {
	var e Encoder
	e.UseTable()
	e.AppendField(nil, "user-agent", fmt.Sprintf("%01000d", 0), false)
	if n := len(e.entries.all); n != 0 {
		t.Errorf("%d values of 1000 bytes were entered", n)
	}
	for i := range 1000 {
		e.AppendField(nil, "user-agent", fmt.Sprintf("%0200d", i), false)
	}
	if n := len(e.entries.all); n != perName {
		t.Errorf("%d were entered", n)
	}
	for range 2 {
		e.AppendField(nil, "accept", "a/b", false)
	}
	if b := e.AppendField(nil, "accept", "a/b", false); len(b) != 1 {
		t.Errorf("another is written as %x", b)
	}
}

// Entries fill a table to its last byte, and are the Encoder's own: the string may be part of a buffer that is used again.
func TestEntriesAreKept(t *testing.T) {
	for missing := range uint32(2) {
		var e Encoder
		e.UseTable()
		e.SetMaxTable(uint32(len("accept")+len("a/b")) + overhead - missing)
		buffer := []byte("a/b")
		e.AppendField(nil, "accept", unsafe.String(&buffer[0], len(buffer)), false)
		clear(buffer)
		if b := e.AppendField(nil, "accept", "a/b", false); (len(b) == 1) != (missing == 0) {
			t.Errorf("with %d bytes too few it is written as %x", missing, b)
		}
	}
}
