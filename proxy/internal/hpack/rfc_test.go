package hpack

import (
	"encoding/hex"
	"strings"
	"testing"

	xhpack "golang.org/x/net/http2/hpack"

	"github.com/sluice-proxy/sluice/proxy/internal/h1"
)

// The literals are those of x/net, which it has from the RFC's text.
func TestTablesOfTheRFC(t *testing.T) {
	var fields []xhpack.HeaderField
	d := xhpack.NewDecoder(0, func(f xhpack.HeaderField) { fields = append(fields, f) })
	for i := 1; i < len(static); i++ {
		_, _ = d.Write([]byte{0x80 | byte(i)})
	}
	if _, err := d.Write([]byte{0x80 | byte(len(static))}); err == nil || len(fields) != 61 {
		t.Fatalf("x/net has %d fields", len(fields))
	}
	for i, want := range fields {
		if got := static[i+1]; got.Name != want.Name || got.Value != want.Value || got.Kind != h1.KindOf(want.Name) {
			t.Errorf("%d: %v, want %v", i+1, got, want)
		}
	}
	for i := range eos {
		s := string([]byte{byte(i)})
		if n := xhpack.HuffmanEncodeLength(strings.Repeat(s, 8)); n != uint64(lengths[i]) {
			t.Errorf("code of %q has %d bits, want %d", s, lengths[i], n)
		}
		for _, with := range []string{"", "0", "aaaaaaaaaaaa", "\n\xff"} {
			s := with + s + with
			if got, err := theHuffman().decode([]byte("x"), xhpack.AppendHuffmanString(nil, s)); err != nil || string(got) != "x"+s {
				t.Errorf("%q is decoded to %q, %v", s, got, err)
			}
		}
	}
}

func TestHuffmanPadding(t *testing.T) {
	for _, c := range []struct {
		code string
		ok   bool
	}{
		{"", true},
		{"1f", true},
		{"1c", false},
		{"1e", false}, // "a" is 00011
		{"1fff", false},
		{"ff", false},
		{"f8", true},
		{"f8ff", false}, // "&" has eight bits
		{"fffffffc", false},
		{"fffffffcffffffffffffffff", false},
		{"ffffffff", false}, // EOS has thirty ones
		{"1fffffffe0", false},
	} {
		code, err := hex.DecodeString(c.code)
		if err != nil {
			t.Fatal(err)
		}
		if got, err := theHuffman().decode(nil, code); (err == nil) != c.ok {
			t.Errorf("%s: %q, %v", c.code, got, err)
		}
		if _, err := xhpack.HuffmanDecodeToString(code); (err == nil) != c.ok {
			t.Errorf("%s: x/net says %v", c.code, err)
		}
	}
}
