package hpack

import (
	"bytes"
	"io"
	"strings"
	"testing"

	xhpack "golang.org/x/net/http2/hpack"

	"github.com/sluice-proxy/sluice/proxy/internal/h1"
)

// heads are those of a browser and of curl.
var heads = map[string]h1.Fields{
	"browser": head(":method: GET|:authority: hello.default.example.com|:scheme: https|:path: /static/app/main.js?v=20240611|" +
		`sec-ch-ua: "Chromium";v="126", "Google Chrome";v="126", "Not-A.Brand";v="99"|sec-ch-ua-mobile: ?0|sec-ch-ua-platform: "Linux"|` +
		"user-agent: Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/126.0.0.0 Safari/537.36|" +
		"accept: text/html,application/xhtml+xml,application/xml;q=0.9,image/avif,image/webp,*/*;q=0.8|sec-fetch-site: same-origin|" +
		"sec-fetch-mode: navigate|accept-encoding: gzip, deflate, br, zstd|accept-language: en-US,en;q=0.9,de;q=0.8|" +
		"cookie: session=0d3adb33f0d3adb33f0d3adb33f0d3adb33f; theme=dark"),
	"curl": head(":method: GET|:scheme: http|:authority: hello.default.example.com|:path: /|user-agent: curl/8.5.0|accept: */*"),
}

func head(s string) (f h1.Fields) {
	for line := range strings.SplitSeq(s, "|") {
		colon := 1 + strings.Index(line[1:], ": ")
		f.Add(line[:colon], line[colon+2:])
	}
	return f
}

// byXNet are blocks of f that x/net's encoder writes: the first of a connection, and those after it.
func byXNet(f h1.Fields) (first, again []byte) {
	var b bytes.Buffer
	e := xhpack.NewEncoder(&b)
	write := func() []byte {
		b.Reset()
		for _, x := range f {
			_ = e.WriteField(xhpack.HeaderField{Name: x.Name, Value: x.Value})
		}
		return bytes.Clone(b.Bytes())
	}
	return write(), write()
}

// interned has the strings of heads.
func interned() func([]byte) string {
	all := map[string]string{}
	for _, f := range heads {
		for _, x := range f {
			all[x.Name], all[x.Value] = x.Name, x.Value
		}
	}
	return func(b []byte) string {
		if s, ok := all[string(b)]; ok {
			return s
		}
		return string(b)
	}
}

func TestSteadyStateDoesNotAllocate(t *testing.T) {
	for name, f := range heads {
		first, again := byXNet(f)
		var d Decoder
		d.Init(defaultTable, interned())
		fields, err := d.Decode(nil, first, noLimit)
		if err != nil {
			t.Fatal(err)
		}
		var plain Encoder // writes no block that depends on others
		literals := plain.AppendField(nil, "cookie", f[0].Value, true)
		for _, x := range f {
			literals = plain.AppendField(literals, x.Name, x.Value, false)
		}
		coded := xhpack.AppendHuffmanString([]byte{0x04, 0}, f[3].Value)
		coded[1] = 0x80 | byte(len(coded)-2)
		for kind, block := range map[string][]byte{"indexed": again, "literals": literals, "Huffman": coded} {
			if n := testing.AllocsPerRun(100, func() {
				if fields, err = d.Decode(fields[:0], block, noLimit); err != nil || len(fields) == 0 {
					t.Fatalf("%d fields, %v", len(fields), err)
				}
			}); n > 0 {
				t.Errorf("%s, %s: %v allocations to decode", name, kind, n)
			}
		}
		for kind, e := range map[string]*Encoder{"no table": {}, "table": {}} {
			if kind == "table" {
				e.UseTable()
			}
			b := encode(e, nil, f)
			if n := testing.AllocsPerRun(100, func() { b = encode(e, b[:0], f) }); n > 0 {
				t.Errorf("%s, %s: %v allocations to encode", name, kind, n)
			}
		}
	}
}

func encode(e *Encoder, b []byte, f h1.Fields) []byte {
	b = e.Begin(b)
	for i := range f {
		b = e.AppendField(b, f[i].Name, f[i].Value, f[i].Sensitive)
	}
	return b
}

func BenchmarkDecode(b *testing.B) {
	for name, f := range heads {
		first, again := byXNet(f)
		b.Run(name+"/first", func(b *testing.B) {
			b.ReportAllocs()
			var fields h1.Fields
			for b.Loop() {
				var d Decoder
				d.Init(defaultTable, nil)
				fields, _ = d.Decode(fields[:0], first, noLimit)
			}
		})
		b.Run(name+"/first/xnet", func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				d := xhpack.NewDecoder(defaultTable, func(xhpack.HeaderField) {})
				_, _ = d.Write(first)
			}
		})
		b.Run(name+"/again", func(b *testing.B) {
			b.ReportAllocs()
			var d Decoder
			d.Init(defaultTable, nil)
			fields, _ := d.Decode(nil, first, noLimit)
			for b.Loop() {
				fields, _ = d.Decode(fields[:0], again, noLimit)
			}
		})
		b.Run(name+"/again/xnet", func(b *testing.B) {
			b.ReportAllocs()
			d := xhpack.NewDecoder(defaultTable, func(xhpack.HeaderField) {})
			_, _ = d.Write(first)
			for b.Loop() {
				_, _ = d.Write(again)
			}
		})
	}
}

func BenchmarkEncode(b *testing.B) {
	for name, f := range heads {
		block := make([]byte, 0, 4096)
		for kind, e := range map[string]*Encoder{"literals": {}, "table": {}} {
			if kind == "table" {
				e.UseTable()
			}
			b.Run(name+"/"+kind, func(b *testing.B) {
				b.ReportAllocs()
				for b.Loop() {
					block = encode(e, block[:0], f)
				}
			})
		}
		b.Run(name+"/table/first", func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				var e Encoder
				e.UseTable()
				block = encode(&e, block[:0], f)
			}
		})
		b.Run(name+"/xnet", func(b *testing.B) {
			b.ReportAllocs()
			e := xhpack.NewEncoder(io.Discard)
			for b.Loop() {
				for i := range f {
					_ = e.WriteField(xhpack.HeaderField{Name: f[i].Name, Value: f[i].Value})
				}
			}
		})
	}
}

// BenchmarkStrings is what Huffman codes cost: a user-agent.
func BenchmarkStrings(b *testing.B) {
	value := heads["browser"][7].Value
	coded, block := xhpack.AppendHuffmanString(nil, value), make([]byte, 0, 4096)
	b.Run("written plain", func(b *testing.B) {
		for b.Loop() {
			block = appendString(block[:0], value)
		}
	})
	b.Run("written coded", func(b *testing.B) {
		for b.Loop() {
			block = xhpack.AppendHuffmanString(block[:0], value)
		}
	})
	b.Run("read coded", func(b *testing.B) {
		for b.Loop() {
			block, _ = theHuffman().decode(block[:0], coded)
		}
	})
	b.Run("read coded/xnet", func(b *testing.B) {
		w := bytes.NewBuffer(make([]byte, 0, 4096))
		for b.Loop() {
			w.Reset()
			_, _ = xhpack.HuffmanDecode(w, coded)
		}
	})
}
