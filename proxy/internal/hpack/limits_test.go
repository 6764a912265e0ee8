package hpack

import (
	"bytes"
	"errors"
	"runtime"
	"strings"
	"testing"

	"github.com/sluice-proxy/sluice/proxy/internal/h1"
)

// What is beyond the limits isn't appended, but entered: the next block refers to it.
func TestBeyondTheLimitsTheTableStaysInStep(t *testing.T) {
	block := unhex(t, "4001610162"+"4001630164"+"0001650166"+"4001670168") // 34 bytes each
	for _, c := range []struct {
		limits Limits
		want   string
		err    error
	}{
		{Limits{Size: 4 * 34, Fields: 4}, "a: b|c: d|e: f|g: h", nil},
		{Limits{Size: 4*34 - 1, Fields: 4}, "a: b|c: d|e: f", ErrTooLarge},
		{Limits{Size: 4 * 34, Fields: 3}, "a: b|c: d|e: f", ErrTooMany},
		{Limits{Size: 35, Fields: 4}, "a: b", ErrTooLarge},
		{Limits{Size: 35, Fields: 1}, "a: b", ErrTooLarge},
		{Limits{Size: 3 * 34, Fields: 2}, "a: b|c: d", ErrTooMany}, // the first that was passed
		{Limits{}, "", ErrTooLarge},
	} {
		var d Decoder
		d.Init(defaultTable, nil)
		f, err := d.Decode(nil, block, c.limits)
		if text(f) != c.want || !errors.Is(err, c.err) {
			t.Errorf("%+v: %s, %v", c.limits, text(f), err)
		}
		// The limits are of a block, and don't count what was in the list.
		if f, err = d.Decode(h1.Fields{{Name: "x"}}, []byte{0xbe, 0xbf, 0xc0}, Limits{Size: 3 * 34, Fields: 3}); err != nil || text(f) != "x: |g: h|c: d|a: b" {
			t.Errorf("%+v: the next block is %s, %v", c.limits, text(f), err)
		}
	}
	// What follows a field that was too large isn't taken for it.
	var d Decoder
	d.Init(defaultTable, nil)
	if f, err := d.Decode(nil, unhex(t, "0001617f01"+strings.Repeat("62", 128)+"0001630164"), Limits{Size: 100, Fields: 9}); len(f) > 0 || !errors.Is(err, ErrTooLarge) {
		t.Errorf("%s, %v", text(f), err)
	}
	if _, err := d.Decode(nil, unhex(t, "0001610162"+"0001630164"+"ff00"), Limits{Size: 34, Fields: 9}); !errors.Is(err, errIndex) {
		t.Errorf("an error behind the limit: %v", err)
	}
}

// Small blocks that stand for megabytes cost no memory: a field of the table again and again, a long name of
// it in literals and in new entries, size updates. Nor does a block's buffer for Huffman codes hold more than one field.
func TestExpansionCostsNoMemory(t *testing.T) {
	long := appendInt([]byte{0x40}, 0, 7, 4000)
	long = append(append(long, strings.Repeat("n", 4000)...), 1, 'v')
	coded := append(appendInt([]byte{0x0f, 0x2f}, 0x80, 7, 625), strings.Repeat("\x18\xc6\x31\x8c\x63", 125)...) // 1000 times "a"
	for name, c := range map[string]struct {
		block []byte
		err   error
		most  uint64 // bytes allocated
	}{
		"indexed":     {[]byte(strings.Repeat("\xbe", 100_000)), ErrTooLarge, 4 << 10},
		"named":       {[]byte(strings.Repeat("\x0f\x2f\x00", 30_000)), ErrTooLarge, 4 << 10},
		"entered":     {[]byte(strings.Repeat("\x7e\x00", 30_000)), ErrTooLarge, 4 << 10},
		"coded":       {bytes.Repeat(coded, 100), ErrTooLarge, 32 << 10},
		"size update": {[]byte(strings.Repeat("\x20", 30_000)), errUpdate, 4 << 10},
	} {
		var d Decoder
		d.Init(defaultTable, nil)
		if _, err := d.Decode(nil, long, noLimit); err != nil {
			t.Fatal(err)
		}
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		f, err := d.Decode(nil, c.block, Limits{Size: 64 << 10, Fields: 1000})
		runtime.ReadMemStats(&after)
		size := 0
		for i := range f {
			size += sizeOf(&f[i])
		}
		if n := after.TotalAlloc - before.TotalAlloc; !errors.Is(err, c.err) || size > 64<<10 || n > c.most {
			t.Errorf("%s: %v, %d fields of %d bytes, %d bytes allocated", name, err, len(f), size, n)
		}
	}
}

// The table holds what it counts, whatever was in it before: its strings are by themselves, and an idle connection keeps no
// buffer of a size that the peer has chosen.
func TestMemoryOfAConnection(t *testing.T) {
	var d Decoder
	d.Init(defaultTable, nil)
	block := append(appendInt([]byte{0x40, 0x81, 0x1f}, 0x80, 7, 2500), strings.Repeat("\x18\xc6\x31\x8c\x63", 500)...) // 4000 times "a"
	f, err := d.Decode(nil, block, noLimit)
	if err != nil || len(f) != 1 || f[0].Value != strings.Repeat("a", 4000) {
		t.Fatalf("%s, %v", text(f), err)
	}
	if n := cap(d.scratch); n > maxScratch {
		t.Errorf("%d bytes are kept", n)
	}
	for i := range 1000 {
		if _, err = d.Decode(nil, []byte{0x40, 1, 'a' + byte(i%26), 0}, noLimit); err != nil {
			t.Fatal(err)
		}
		if d.table.size > d.table.max {
			t.Fatalf("the table has %d bytes", d.table.size)
		}
	}
	if n := len(d.table.ring); n > 128 || d.table.n != 4096/33 {
		t.Errorf("%d entries, room for %d", d.table.n, n)
	}
}
