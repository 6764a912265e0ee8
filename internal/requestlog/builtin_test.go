package requestlog

import (
	"bytes"
	"net/http"
	"testing"
	"text/template"

	"pgregory.net/rapid"
)

func sameAsTemplate(t interface {
	Helper()
	Fatalf(string, ...any)
}, f *fields,
) {
	t.Helper()
	var want bytes.Buffer
	if err := template.Must(template.New("").Parse(DefaultTemplate)).Execute(&want, f); err != nil {
		t.Fatalf("%v", err)
	}
	if got := appendBuiltin(nil, f); string(got) != want.String() {
		t.Fatalf("got  %q\nwant %q", got, want.String())
	}
}

func TestBuiltInIsTheDefaultTemplate(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		text := func(name string) string { return rapid.String().Draw(t, name) }
		sameAsTemplate(t, &fields{
			Request: &http.Request{
				Method: text("method"), RequestURI: text("uri"), Proto: text("proto"), RemoteAddr: text("remote"),
				ContentLength: rapid.Int64().Draw(t, "length"),
				Header:        http.Header{"User-Agent": {text("agent")}, "Referer": {text("referer")}},
			},
			Response: Response{
				Code: rapid.Int().Draw(t, "code"), Size: rapid.Int().Draw(t, "size"), Latency: rapid.Float64Min(0).Draw(t, "latency"),
			},
			Revision: Revision{PodIP: text("ip")},
			TraceID:  text("trace"),
		})
	})
}

func FuzzBuiltIn(f *testing.F) {
	f.Add("GET", "//a?b='\"<>&=", "curl/8 \x00\xff", 0.000012)
	f.Fuzz(func(t *testing.T, method, uri, agent string, latency float64) {
		sameAsTemplate(t, &fields{
			Request:  &http.Request{Method: method, RequestURI: uri, Header: http.Header{"User-Agent": {agent}}},
			Response: Response{Latency: latency},
		})
	})
}
