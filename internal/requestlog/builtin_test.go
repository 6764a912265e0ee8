package requestlog

import (
	"bytes"
	"encoding/json"
	"net/http"
	"strings"
	"testing"
	texttemplate "text/template"

	"pgregory.net/rapid"

	"github.com/sluice-proxy/sluice/internal/template"
)

type tester interface {
	Helper()
	Fatalf(string, ...any)
}

// sameAsTemplate compares the built-in line with the template's, for fields that need no escaping where the template
// doesn't escape.
func sameAsTemplate(t tester, f *fields) {
	t.Helper()
	g, r := *f, *f.Request
	g.Request = &r
	for _, s := range []*string{&r.Method, &r.Proto, &g.Revision.PodIP, &g.TraceID} {
		*s = template.EscapeJS(*s)
	}
	var want, ours bytes.Buffer
	theirs := texttemplate.Must(texttemplate.New("").Funcs(texttemplate.FuncMap{"js": js}).Parse(DefaultTemplate))
	if err := theirs.Execute(&want, &g); err != nil {
		t.Fatalf("%v", err)
	}
	mine, err := template.Parse("", DefaultTemplate, methods())
	if err != nil {
		t.Fatalf("%v", err)
	}
	if err := mine.Execute(&ours, &g); err != nil {
		t.Fatalf("%v", err)
	}
	got := string(appendBuiltin(nil, f))
	if got != want.String() || got != ours.String() {
		t.Fatalf("got  %q\nwant %q\nand  %q", got, &want, &ours)
	}
}

// line is the JSON of a line of the built-in template.
type line struct {
	HTTPRequest struct {
		RequestMethod, RequestURL, RequestSize, UserAgent, RemoteIP, ServerIP, Referer, Latency, Protocol, ResponseSize string
		Status                                                                                                          int
	} `json:"httpRequest"`
	TraceID string `json:"traceId"`
}

// readsBack compares a line with the fields that it was made of.
func readsBack(t tester, text string, f *fields) {
	t.Helper()
	var l line
	d := json.NewDecoder(strings.NewReader(text))
	d.DisallowUnknownFields()
	if err := d.Decode(&l); err != nil || d.More() {
		t.Fatalf("%s: %v", text, err)
	}
	r := f.Request
	for _, c := range [][2]string{
		{l.HTTPRequest.RequestMethod, r.Method},
		{l.HTTPRequest.RequestURL, r.RequestURI},
		{l.HTTPRequest.UserAgent, r.UserAgent()},
		{l.HTTPRequest.RemoteIP, r.RemoteAddr},
		{l.HTTPRequest.ServerIP, f.Revision.PodIP},
		{l.HTTPRequest.Referer, r.Referer()},
		{l.HTTPRequest.Protocol, r.Proto},
		{l.TraceID, f.TraceID},
	} {
		if want := string([]rune(c[1])); c[0] != want { // U+FFFD for each byte that is not UTF-8
			t.Fatalf("%s\n%q was %q", text, c[0], want)
		}
	}
	if l.HTTPRequest.Status != f.Response.Code {
		t.Fatalf("%s\nstatus was %d", text, f.Response.Code)
	}
}

func TestBuiltInIsTheDefaultTemplate(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		text := func(name string) string {
			return rapid.OneOf(rapid.String(), rapid.Map(rapid.SliceOf(rapid.Byte()), func(b []byte) string { return string(b) })).Draw(t, name)
		}
		f := &fields{
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
		}
		sameAsTemplate(t, f)
		readsBack(t, string(appendBuiltin(nil, f)), f)
	})
}

func FuzzBuiltIn(f *testing.F) {
	f.Add("GET", "//a?b='\"<>&=", "curl/8 \x00\xff", "", 0.000012)
	f.Add("GE'T", "/o'neil", "\x80\xff \U000E0001", "http://r/\u2028", 1e30)
	f.Fuzz(func(t *testing.T, method, uri, agent, referer string, latency float64) {
		of := &fields{
			Request:  &http.Request{Method: method, RequestURI: uri, Header: http.Header{"User-Agent": {agent}, "Referer": {referer}}},
			Response: Response{Latency: latency},
		}
		sameAsTemplate(t, of)
		readsBack(t, string(appendBuiltin(nil, of)), of)
	})
}
