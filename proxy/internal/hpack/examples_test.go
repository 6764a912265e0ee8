package hpack

import (
	"encoding/hex"
	"errors"
	"slices"
	"strings"
	"testing"

	"github.com/sluice-proxy/sluice/proxy/internal/h1"
)

var noLimit = Limits{Size: 1 << 30, Fields: 1 << 30}

// The examples of RFC 7541, appendix C.3 to C.6: the blocks of one connection each, and the size of the table after each.
func TestExamplesOfTheRFC(t *testing.T) {
	requests := []string{
		":method: GET|:scheme: http|:path: /|:authority: www.example.com",
		":method: GET|:scheme: http|:path: /|:authority: www.example.com|cache-control: no-cache",
		":method: GET|:scheme: https|:path: /index.html|:authority: www.example.com|custom-key: custom-value",
	}
	responses := []string{
		":status: 302|cache-control: private|date: Mon, 21 Oct 2013 20:13:21 GMT|location: https://www.example.com",
		":status: 307|cache-control: private|date: Mon, 21 Oct 2013 20:13:21 GMT|location: https://www.example.com",
		":status: 200|cache-control: private|date: Mon, 21 Oct 2013 20:13:22 GMT|location: https://www.example.com|content-encoding: gzip|" +
			"set-cookie: foo=ASDJKHQKBZXOQWEOPIUAXQWEOIU; max-age=3600; version=1",
	}
	for _, c := range []struct {
		section string
		max     int
		blocks  []string
		want    []string
		sizes   []int
	}{
		{"C.3", 4096, []string{
			"828684410f7777772e6578616d706c652e636f6d",
			"828684be58086e6f2d6361636865",
			"828785bf400a637573746f6d2d6b65790c637573746f6d2d76616c7565",
		}, requests, []int{57, 110, 164}},
		{"C.4", 4096, []string{
			"828684418cf1e3c2e5f23a6ba0ab90f4ff",
			"828684be5886a8eb10649cbf",
			"828785bf408825a849e95ba97d7f8925a849e95bb8e8b4bf",
		}, requests, []int{57, 110, 164}},
		{"C.5", 256, []string{
			"4803333032580770726976617465611d4d6f6e2c203231204f637420323031332032303a31333a323120474d546e1768747470733a2f2f7777772e6578616d706c652e636f6d",
			"4803333037c1c0bf",
			"88c1611d4d6f6e2c203231204f637420323031332032303a31333a323220474d54c05a04677a69707738666f6f3d4153444a4b48514b425a584f5157454f50495541585157454f49553b206d61782d6167653d333630303b2076657273696f6e3d31",
		}, responses, []int{222, 222, 215}},
		{"C.6", 256, []string{
			"488264025885aec3771a4b6196d07abe941054d444a8200595040b8166e082a62d1bff6e919d29ad171863c78f0b97c8e9ae82ae43d3",
			"4883640effc1c0bf",
			"88c16196d07abe941054d444a8200595040b8166e084a62d1bffc05a839bd9ab77ad94e7821dd7f2e6c7b335dfdfcd5b3960d5af27087f3672c1ab270fb5291f9587316065c003ed4ee5b1063d5007",
		}, responses, []int{222, 222, 215}},
	} {
		var d Decoder
		d.Init(defaultTable, nil)
		d.table.max = c.max
		for i, block := range c.blocks {
			f, err := d.Decode(nil, unhex(t, block), noLimit)
			if err != nil || text(f) != c.want[i] || d.table.size != c.sizes[i] {
				t.Errorf("%s.%d: %s, %v, table of %d bytes", c.section, i+1, text(f), err, d.table.size)
			}
		}
	}
}

// Appendix C.2 has each kind of literal.
func TestLiterals(t *testing.T) {
	for _, c := range []struct {
		block, want        string
		entered, sensitive bool
	}{
		{"400a637573746f6d2d6b65790d637573746f6d2d686561646572", "custom-key: custom-header", true, false},
		{"040c2f73616d706c652f70617468", ":path: /sample/path", false, false},
		{"100870617373776f726406736563726574", "password: secret", false, true},
		{"82", ":method: GET", false, false},
		{"0f0d0135", "content-length: 5", false, false},
		{"4002746503612f62", "te: a/b", true, false},
		{"0002546503612f62", "Te: a/b", false, false}, // for HTTP/2 to refuse
	} {
		var d Decoder
		d.Init(defaultTable, nil)
		f, err := d.Decode(nil, unhex(t, c.block), noLimit)
		if err != nil || text(f) != c.want || f[0].Sensitive != c.sensitive || d.table.n == 1 != c.entered || f[0].Kind != h1.KindOf(f[0].Name) {
			t.Errorf("%s: %v, %v, %d entries", c.block, f, err, d.table.n)
		}
	}
}

func TestBlocksThatAreRefused(t *testing.T) {
	for _, c := range []struct {
		block string
		err   error
	}{
		{"80", errIndex},
		{"be", errIndex},
		{"ff80808080808080808001", errInteger},
		{"ffffffffffffffffff7f", errIndex},
		{"4001610162bf", errIndex},
		{"7f", errTruncated},
		{"7e0161", errIndex},
		{"ff80", errTruncated},
		{"40", errTruncated},
		{"4001", errTruncated},
		{"400161", errTruncated},
		{"40016102", errTruncated},
		{"407fffffffffffffffff7f", errTruncated},
		{"40016181ff", errHuffman},
		{"4081ff", errHuffman},
		{"3fe21f", errUpdate}, // 4097
		{"3f", errTruncated},
		{"202020", errUpdate},
		{"8220", errUpdate},
		{"823fe11f", errUpdate},
	} {
		var d Decoder
		d.Init(defaultTable, nil)
		if _, err := d.Decode(nil, unhex(t, c.block), noLimit); !errors.Is(err, c.err) {
			t.Errorf("%s: %v, want %v", c.block, err, c.err)
		}
	}
}

func TestSizeUpdates(t *testing.T) {
	var d Decoder
	d.Init(10000, nil)
	for _, c := range []struct {
		block   string
		entries int
	}{
		{"4001610162400163016440016501664001670168", 4}, // of 34 bytes each
		{"3f25", 2}, // 68
	} {
		if _, err := d.Decode(nil, unhex(t, c.block), noLimit); err != nil || d.table.n != c.entries {
			t.Errorf("%s: %v, %d entries", c.block, err, d.table.n)
		}
	}
	if f, err := d.Decode(nil, []byte{0xbe, 0xbf}, noLimit); err != nil || text(f) != "g: h|e: f" {
		t.Errorf("the newest two are %s, %v", text(f), err)
	}
	if _, err := d.Decode(nil, unhex(t, "3f03"+"4001690170"), noLimit); err != nil || d.table.n != 1 {
		t.Errorf("an entry of the table's size: %v, %d entries", err, d.table.n)
	}
	if _, err := d.Decode(nil, append([]byte{0x20}, appendInt(nil, 0x20, 5, 10000)...), noLimit); err != nil || d.table.n != 0 || d.table.max != 10000 {
		t.Errorf("to 0 and to what was announced: %v, %+v", err, d.table)
	}
	if _, err := d.Decode(nil, appendInt(nil, 0x20, 5, 10001), noLimit); !errors.Is(err, errUpdate) {
		t.Errorf("beyond: %v", err)
	}
}

func unhex(t *testing.T, s string) []byte {
	t.Helper()
	b, err := hex.DecodeString(s)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func text(f h1.Fields) string {
	var all []string
	for _, x := range f {
		all = append(all, x.Name+": "+x.Value)
	}
	return strings.Join(slices.Clip(all), "|")
}
