package hpack

import (
	"errors"
	"slices"
	"strings"
	"testing"

	xhpack "golang.org/x/net/http2/hpack"

	"github.com/sluice-proxy/sluice/proxy/internal/h1"
)

// FuzzDecode: the blocks of a connection are refused when x/net refuses them, and else have the same fields. b has the
// blocks, each behind a byte with its length. Only size updates differ: x/net takes any number of them, and behind a field
// too, as long as its table is empty, and refuses a second one when it isn't.
//
// Limits change nothing but what is appended.
func FuzzDecode(f *testing.F) {
	for _, head := range heads {
		first, again := byXNet(head)
		f.Add(slices.Concat([]byte{byte(len(first))}, first, []byte{byte(len(again))}, again), uint16(4096), uint16(500))
	}
	for _, s := range []string{"\x80", "\x7f\x01a", "\x40\x01a\x01b\x20", "\x20\x3f\xe1\x1f\x82", "\x20\x20\x20", "\x10\x82\x1f\xff\x00", "\xff\x80\x80\x80\x80\x80\x80\x80\x00"} {
		f.Add(append([]byte{byte(len(s))}, s...), uint16(10000), uint16(50))
	}
	f.Fuzz(func(t *testing.T, b []byte, announced, limit uint16) {
		var d, limited Decoder
		d.Init(uint32(announced), nil)
		limited.Init(uint32(announced), nil)
		x := xhpack.NewDecoder(defaultTable, nil)
		x.SetAllowedMaxDynamicTableSize(uint32(max(announced, defaultTable)))
		for len(b) > 0 {
			n := min(int(b[0]), len(b)-1)
			block := b[1 : 1+n]
			b = b[1+n:]
			want, refused := x.DecodeFull(block)
			got, err := d.Decode(nil, block, noLimit)
			part, over := limited.Decode(nil, block, Limits{Size: int(limit), Fields: int(limit) / 40})
			if past := errors.Is(over, ErrTooLarge) || errors.Is(over, ErrTooMany); !past && !errors.Is(over, err) || past && err != nil {
				t.Fatalf("%x: %v, with limits %v", block, err, over)
			} else if past != (len(part) < len(got)) && err == nil || !slices.Equal(part, got[:len(part)]) {
				t.Fatalf("%x: limits make %v of %v", block, part, got)
			}
			inOrder(t, &d)
			inOrder(t, &limited)
			if errors.Is(err, errUpdate) && (refused == nil || !strings.Contains(refused.Error(), "table size update")) {
				return
			}
			if refused != nil && strings.Contains(refused.Error(), "MUST occur at the beginning") && twoUpdates(block) {
				return
			}
			if (err == nil) != (refused == nil) {
				t.Fatalf("%x: %v, but %v by x/net", block, err, refused)
			}
			if err != nil {
				return
			}
			if len(want) != len(got) {
				t.Fatalf("%x: %v, but %v by x/net", block, got, want)
			}
			for i, w := range want {
				if g := got[i]; g != (h1.Field{Name: w.Name, Value: w.Value, Kind: h1.KindOf(w.Name), Sensitive: w.Sensitive}) {
					t.Fatalf("%x: %v, but %v by x/net", block, g, w)
				}
			}
		}
	})
}

// twoUpdates reports whether a block begins with two size updates.
func twoUpdates(block []byte) bool {
	_, rest, err := readInt(block, 5)
	return err == nil && len(rest) > 0 && rest[0]>>5 == 1
}

func inOrder(t *testing.T, d *Decoder) {
	t.Helper()
	table, size := &d.table, 0
	for i := range table.n {
		size += sizeOf(table.at(i))
	}
	if size != table.size || size > table.max || len(table.ring) > 2*d.most/overhead {
		t.Fatalf("a table of %d bytes counts %d of %d, and has room for %d entries", size, table.size, table.max, len(table.ring))
	}
}

// FuzzEncode: what is written is read as the same by x/net and by the Decoder. s has fields, each in a line, with its name
// up to the first space; "!" in front says that it is sensitive, and an empty line starts another block.
func FuzzEncode(f *testing.F) {
	f.Add("User-Agent a\nuser-agent a\n\nuser-agent a\n!cookie b\nx-A c\n\nte trailers\n\nTE trailers", true, uint16(4096), uint8(0))
	f.Add(":method GET\n:path /\n:authority x\n\n:authority x\n\n:authority x", true, uint16(100), uint8(2))
	f.Add(":status 200\n:status 201\ndate a\nX-AZ a", false, uint16(0), uint8(1))
	f.Fuzz(func(t *testing.T, s string, useTable bool, size uint16, when uint8) {
		var e Encoder
		if useTable {
			e.UseTable()
		}
		var d Decoder
		d.Init(0, nil)
		x := xhpack.NewDecoder(defaultTable, nil)
		n := uint8(0)
		for head := range strings.SplitSeq(s, "\n\n") {
			if n == when {
				e.SetMaxTable(uint32(size))
				x.SetAllowedMaxDynamicTableSize(uint32(size))
			}
			n++
			block := e.Begin(nil)
			var want h1.Fields
			for line := range strings.SplitSeq(head, "\n") {
				name, value, _ := strings.Cut(line, " ")
				name, sensitive := strings.CutPrefix(name, "!")
				block = e.AppendField(block, name, value, sensitive)
				name = lower(name)
				want = append(want, h1.Field{Name: name, Value: value, Kind: h1.KindOf(name), Sensitive: sensitive})
			}
			if got, err := d.Decode(nil, block, noLimit); err != nil || !slices.Equal(got, want) {
				t.Fatalf("%x: %v, %v, want %v", block, got, err, want)
			}
			read, err := x.DecodeFull(block)
			if err != nil || len(read) != len(want) {
				t.Fatalf("%x: %v, %v by x/net, want %v", block, read, err, want)
			}
			for i, r := range read {
				if w := want[i]; r.Name != w.Name || r.Value != w.Value || r.Sensitive != w.Sensitive {
					t.Fatalf("%x: %v by x/net, want %v", block, r, w)
				}
			}
			if useTable && len(e.entries.all) != d.table.n {
				t.Fatalf("%d were entered, the peer has %d", len(e.entries.all), d.table.n)
			}
		}
	})
}

func lower(s string) string {
	b := []byte(s)
	for i, c := range b {
		if 'A' <= c && c <= 'Z' {
			b[i] = c + 'a' - 'A'
		}
	}
	return string(b)
}
