package h1

import (
	"reflect"
	"slices"
	"testing"
)

func TestHeadsAreWritten(t *testing.T) {
	fields := Fields{{Name: "X-A", Value: "1"}, {Name: "Host", Value: "x", Kind: Host}, {Name: "x-b"}}
	for want, got := range map[string][]byte{
		"> GET /a?b HTTP/1.0\r\n":                 AppendRequestLine([]byte("> "), "GET", "/a?b", 0),
		"OPTIONS * HTTP/1.1\r\n":                  AppendRequestLine(nil, "OPTIONS", "*", 1),
		"HTTP/1.1 404 Not Found\r\n":              AppendStatusLine(nil, 404, "Not Found"),
		"HTTP/1.1 299 \r\n":                       AppendStatusLine(nil, 299, ""),
		"X-A: 1\r\nHost: x\r\nx-b: \r\n":          fields.AppendTo(nil, 0),
		"X-A: 1\r\nx-b: \r\n":                     fields.AppendTo(nil, 1<<Host),
		"A: b\r\n":                                AppendList(nil, "A", []string{"b"}),
		"A: b, , c\r\n":                           AppendList(nil, "A", []string{"b", "", "c"}),
		"Content-Length: 0\r\n":                   (&Request{HasLength: true}).AppendFraming(nil),
		"Transfer-Encoding: chunked\r\n":          (&Request{Length: -1}).AppendFraming(nil),
		"":                                        (&Request{}).AppendFraming(nil),
		"0\r\nX-A: 1\r\nHost: x\r\nx-b: \r\n\r\n": AppendLastChunk(nil, fields),
		"0\r\n\r\n":                               AppendLastChunk(nil, nil),
		"1f\r\n":                                  AppendChunkSize(nil, 31),
		"Content-Length: 9223372036854775807\r\n": AppendLength(nil, 1<<63-1),
	} {
		if string(got) != want {
			t.Errorf("%q, want %q", got, want)
		}
	}
}

// FuzzWrittenHeads: a head that has been read and is written is read again as the same.
func FuzzWrittenHeads(f *testing.F) {
	for _, s := range requests {
		f.Add([]byte(s))
	}
	for _, s := range answers {
		f.Add([]byte(s))
	}
	const framing = 1<<ContentLength | 1<<TransferEncoding
	f.Fuzz(func(t *testing.T, b []byte) {
		end, _, err := HeadEnd(b, 0, true)
		if err != nil || end == 0 {
			return
		}
		b = b[:end]
		var r, again Request
		if r.Parse(string(b), 100) == nil {
			w := AppendRequestLine(nil, r.Method, r.Target, r.Minor)
			w = AppendEnd(r.AppendFraming(r.Fields.AppendTo(w, framing)))
			reads(t, w)
			if err := again.Parse(string(w), 101); err != nil {
				t.Fatalf("%q became %q: %v", b, w, err)
			}
			if !slices.Equal(unframed(r.Fields), unframed(again.Fields)) {
				t.Fatalf("%q became %q: %v, want %v", b, w, again.Fields, r.Fields)
			}
			r.Fields, again.Fields = nil, nil
			if !reflect.DeepEqual(again, r) {
				t.Fatalf("%q became %q: %+v, want %+v", b, w, again, r)
			}
		}
		var a, second Response
		if a.Parse(string(b)) == nil {
			w := a.Fields.AppendTo(AppendStatusLine(nil, a.Status, a.Reason), framing)
			switch {
			case a.Chunked:
				w = AppendChunked(w)
			case a.Length >= 0:
				w = AppendLength(w, a.Length)
			}
			w = AppendEnd(w)
			reads(t, w)
			if err := second.Parse(string(w)); err != nil {
				t.Fatalf("%q became %q: %v", b, w, err)
			}
			if !slices.Equal(unframed(a.Fields), unframed(second.Fields)) || second.Status != a.Status ||
				second.Reason != a.Reason || second.Length != a.Length || second.Chunked != a.Chunked || second.Doubtful {
				t.Fatalf("%q became %q: %+v, want %+v", b, w, second, a)
			}
		}
	})
}

// reads holds a head that was written to be one, of lines that end in CR and LF.
func reads(t *testing.T, w []byte) {
	t.Helper()
	if end, _, err := HeadEnd(w, 0, false); err != nil || end != len(w) {
		t.Fatalf("%q ends at %d: %v", w, end, err)
	}
}

func unframed(f Fields) Fields {
	f = slices.Clone(f)
	f.DelKinds(1<<ContentLength | 1<<TransferEncoding)
	return f
}
