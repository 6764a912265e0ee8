package proxy

import (
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/sluice-proxy/sluice/proxy/internal/h1"
)

// FuzzStripFields: an Engine removes what a Handler does, of the same fields, and learns the same of them.
func FuzzStripFields(f *testing.F) {
	for _, s := range []string{"close", "X-A, upgrade", "x-a,,X-KEEP , te", "Keep-Alive,Content-Length", "host,expect,Connection", ""} {
		f.Add(s, "websocket", "X-A: 1\nX-B: 2\nTE: gzip, trailers\nKeep-Alive: x")
	}
	f.Fuzz(func(t *testing.T, options, upgrade, more string) {
		text := "GET / HTTP/1.1\r\nHost: x\r\nConnection: " + options + "\r\nUpgrade: " + upgrade + "\r\nX-Keep: k\r\n" +
			strings.ReplaceAll(more, "\n", "\r\n") + "\r\n\r\n"
		var r h1.Request
		if end, _, err := h1.HeadEnd([]byte(text), 0, false); err != nil || end != len(text) || r.Parse(text, 100) != nil {
			return
		}
		theirs := httpHeader(r.Fields)
		for _, name := range []string{"Host", "Trailer", "Transfer-Encoding"} { // which an Engine writes anew
			delete(theirs, name)
		}
		keep := []string{"X-Keep"}
		o, ok := stripFields(&r.Fields, keep)
		if !ok {
			return
		}
		ours := httpHeader(r.Fields)
		for _, name := range []string{"Host", "Trailer", "Transfer-Encoding"} {
			delete(ours, name)
		}
		s := removeHopByHop(theirs, keep)
		for _, name := range []string{"Content-Length", "Expect"} { // Connection can't name them for an Engine
			delete(theirs, name)
			delete(ours, name)
		}
		if s != o.stripped || len(ours) != len(theirs) {
			t.Fatalf("%q: ours %v %+v, the Handler's %v %+v", text, ours, o, theirs, s)
		}
		for name, values := range theirs {
			if !slices.Equal(values, ours[name]) {
				t.Fatalf("%q: %s: ours %q, the Handler's %q", text, name, ours[name], values)
			}
		}
		if _, ok := ours[http.CanonicalHeaderKey("connection")]; ok {
			t.Fatalf("%q: Connection is left", text)
		}
	})
}
