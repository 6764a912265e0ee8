package hpack

import (
	"bytes"
	"slices"
	"strconv"
	"testing"

	xhpack "golang.org/x/net/http2/hpack"
	"pgregory.net/rapid"

	"github.com/sluice-proxy/sluice/proxy/internal/h1"
)

// genFields are lists whose names and values repeat, so that tables are used.
func genFields() *rapid.Generator[h1.Fields] {
	name := rapid.OneOf(
		rapid.Map(rapid.IntRange(1, len(names)-1), func(i int) string { return names[i].name }),
		rapid.SampledFrom([]string{"x-a", "x-b", "traceparent", "x-0123456789"}),
		rapid.StringMatching(`[a-z0-9-]{1,20}`))
	value := rapid.OneOf(
		rapid.SampledFrom([]string{"", "/", "GET", "200", "gzip, deflate", "text/html", "a"}),
		rapid.StringMatching(`[a-c]{1,2}`),
		rapid.StringN(0, 30, 400))
	field := rapid.Custom(func(t *rapid.T) h1.Field {
		f := h1.Field{Name: name.Draw(t, "name"), Value: value.Draw(t, "value"), Sensitive: rapid.IntRange(0, 9).Draw(t, "sensitive") == 0}
		f.Kind = h1.KindOf(f.Name)
		return f
	})
	return rapid.Map(rapid.SliceOfN(field, 0, 20), func(f []h1.Field) h1.Fields { return f })
}

// What x/net's encoder writes is decoded to the same, however it changes the size of its table.
func TestDecoderAgainstXNet(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		announced := rapid.Uint32Range(0, 10000).Draw(t, "announced")
		var d Decoder
		d.Init(announced, nil)
		var block bytes.Buffer
		e := xhpack.NewEncoder(&block)
		e.SetMaxDynamicTableSizeLimit(max(announced, defaultTable))
		for range rapid.IntRange(1, 20).Draw(t, "blocks") {
			block.Reset()
			for range rapid.IntRange(0, 2).Draw(t, "changes") {
				e.SetMaxDynamicTableSize(rapid.Uint32Range(0, 10000).Draw(t, "size"))
			}
			want := genFields().Draw(t, "fields")
			for _, f := range want {
				_ = e.WriteField(xhpack.HeaderField{Name: f.Name, Value: f.Value, Sensitive: f.Sensitive})
			}
			same(t, &d, block.Bytes(), want)
		}
	})
}

func same(t *rapid.T, d *Decoder, block []byte, want h1.Fields) {
	t.Helper()
	got, err := d.Decode(nil, block, noLimit)
	if err != nil || len(got) != len(want) {
		t.Fatalf("%x is decoded to %v, %v, want %v", block, got, err, want)
	}
	for i := range want {
		if got[i] != want[i] {
			t.Fatalf("%x is decoded to %v, want %v", block, got[i], want[i])
		}
	}
}

// What the Encoder writes is decoded to the same by x/net and by the Decoder, however the peer changes the size of its
// table.
func TestEncoderAgainstXNet(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var e Encoder
		if rapid.Bool().Draw(t, "table") {
			e.UseTable()
		}
		var d Decoder
		d.Init(0, nil)
		var read h1.Fields
		x := xhpack.NewDecoder(defaultTable, func(f xhpack.HeaderField) {
			read = append(read, h1.Field{Name: f.Name, Value: f.Value, Kind: h1.KindOf(f.Name), Sensitive: f.Sensitive})
		})
		for range rapid.IntRange(1, 20).Draw(t, "blocks") {
			for range rapid.IntRange(0, 2).Draw(t, "changes") {
				n := rapid.OneOf(rapid.Uint32Range(0, 5000), rapid.Uint32()).Draw(t, "size")
				e.SetMaxTable(n)
				x.SetAllowedMaxDynamicTableSize(n)
			}
			fields := genFields().Draw(t, "fields")
			want := fields
			block := e.Begin(nil)
			if rapid.Bool().Draw(t, "status") {
				status := rapid.SampledFrom([]int{100, 200, 204, 206, 304, 400, 404, 500, 503}).Draw(t, "status")
				block = e.AppendStatus(block, status)
				want = append(h1.Fields{{Name: ":status", Value: strconv.Itoa(status)}}, fields...)
			}
			for _, f := range fields {
				block = e.AppendField(block, f.Name, f.Value, f.Sensitive)
			}
			read = nil
			if _, err := x.Write(block); err != nil {
				t.Fatalf("%x: x/net says %v", block, err)
			}
			if err := x.Close(); err != nil {
				t.Fatalf("%x: x/net says %v", block, err)
			}
			if !slices.Equal(read, want) {
				t.Fatalf("%x: x/net has %v, want %v", block, read, want)
			}
			same(t, &d, block, want)
		}
	})
}
