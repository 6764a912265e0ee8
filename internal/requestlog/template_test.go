package requestlog

import (
	"bytes"
	"crypto/tls"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"reflect"
	"regexp"
	"strings"
	"testing"
	texttemplate "text/template"

	"github.com/sluice-proxy/sluice/internal/template"
)

// requests makes data for templates; each call makes new ones.
func requests(t *testing.T) []*fields {
	t.Helper()
	get := func(method, target string, h http.Header) *http.Request {
		u, err := url.ParseRequestURI(target)
		if err != nil {
			t.Fatal(err)
		}
		return &http.Request{
			Method: method, URL: u, RequestURI: target, Host: "h:80", Proto: "HTTP/1.1", ProtoMajor: 1, ProtoMinor: 1,
			RemoteAddr: "10.0.0.1:1234", Header: h, Body: http.NoBody,
		}
	}
	secure := get("POST", "//a%20b/c?q='x'&q=2&%zz", http.Header{
		"User-Agent": {`say "hi" <b>`}, "Referer": {"http://r/?a=b"}, "X-A": {"1", "2"}, "Cookie": {"k=v; l=w"}, "Empty": nil,
		"Content-Type": {"multipart/form-data; boundary=x"},
	})
	secure.TLS = &tls.ConnectionState{Version: tls.VersionTLS13, ServerName: "sni", NegotiatedProtocol: "h2"}
	secure.ContentLength, secure.TransferEncoding = -1, []string{"chunked"}
	secure.URL.User = url.UserPassword("u", "p")
	form := get("PUT", "/p?a=b", http.Header{"Content-Type": {"application/x-www-form-urlencoded"}})
	return []*fields{
		{
			Request: secure, Response: Response{502, 1 << 40, 0.000012}, Revision: Revision{"rev", "ns", "svc", "conf", "pod", "10.1.2.3"},
			TraceID: "0af7651916cd43dd8448eb211c80319c", Reason: "dial",
		},
		{Request: form, Response: Response{200, 0, 1.5}},
		{Request: get("OPTIONS", "*", http.Header{}), Response: Response{499, 3, 0}},
	}
}

var address = regexp.MustCompile(`0x[0-9a-f]{8,}`)

// same compares our line with text/template's for each request.
func same(t *testing.T, text string) {
	t.Helper()
	ours, refused := template.Parse("requestlog", text, methods())
	theirs, err := texttemplate.New("requestlog").Funcs(texttemplate.FuncMap{"js": js}).Parse(text)
	if err != nil || refused != nil {
		if refused == nil {
			t.Errorf("%s: taken, and refused by text/template: %v", text, err)
		} else if !strings.Contains(refused.Error(), "can't be used here") && !strings.Contains(refused.Error(), `"call"`) && err == nil {
			t.Errorf("%s: refused: %v", text, refused)
		}
		return
	}
	mine, other := requests(t), requests(t)
	for i := range mine {
		var got, want bytes.Buffer
		err, wantErr := ours.Execute(&got, mine[i]), execute(theirs, &want, other[i])
		if (err == nil) != (wantErr == nil) || err == nil && address.ReplaceAllString(got.String(), "") != address.ReplaceAllString(want.String(), "") {
			t.Errorf("%s\ngot  %q, %v\nwant %q, %v", text, &got, err, &want, wantErr)
		}
	}
}

// js is text/template's js for JSON, for the one string that templates of logs pass.
func js(args ...any) string { return template.EscapeJS(fmt.Sprint(args...)) }

func execute(t *texttemplate.Template, w io.Writer, data any) (err error) {
	defer func() {
		if e := recover(); e != nil {
			err = fmt.Errorf("panic: %v", e)
		}
	}()
	return t.Execute(w, data)
}

// texts are templates that operators use, and others that they might.
var texts = []string{
	DefaultTemplate,
	DefaultTemplate + "\n",
	`{{.Request.RemoteAddr}} - - "{{.Request.Method}} {{.Request.URL.Path}} {{.Request.Proto}}" {{.Response.Code}} {{.Response.Size}} "{{.Request.Referer}}" "{{.Request.UserAgent}}"`,
	`{"url": {{printf "%q" .Request.URL.String}}, "host": "{{js .Request.Host}}", "h": "{{.Request.Header.Get "X-A"}}", "all": [{{range $i, $v := .Request.Header.Values "X-A"}}{{if $i}}, {{end}}"{{$v}}"{{end}}]}`,
	`{{index .Request.Header "X-A" 1}}`, `{{index .Request.Header "X-A"}} {{index .Request.Header "No"}} {{.Request.Header.Referer}} {{.Request.Header.No}}`,
	`{{with .Request.TLS}}{{.ServerName}} {{.Version}} {{.NegotiatedProtocol}} {{.HandshakeComplete}}{{else}}plain{{end}}`, `{{.Request.TLS.ServerName}}`,
	`{{range $name, $values := .Request.Header}}{{$name}}={{range $values}}{{.}},{{end}};{{else}}none{{end}}`,
	`{{with index .Request.Header "X-A"}}{{index . 0}}{{end}}`, `{{if ge .Response.Code 500}}ERROR{{else if eq .Response.Code 499 404}}gone{{else}}INFO{{end}} {{if and .Reason (ne .Reason "x")}}{{.Reason}}{{end}}`,
	`{{if gt .Response.Latency 1.0}}slow{{end}} {{printf "%.3f" .Response.Latency}} {{printf "%05d" .Response.Size}} {{.Response}} {{.Revision}} {{printf "%+v" .Response}}`,
	`{{.Request.URL}} {{.Request.URL.Query}} {{.Request.URL.Query.Get "q"}} {{.Request.URL.Query.q}} {{.Request.URL.RawQuery}} {{.Request.URL.User}} {{.Request.URL.Redacted}} {{.Request.URL.Hostname}} {{.Request.URL.Port}} {{.Request.URL.EscapedPath}} {{.Request.URL.RequestURI}} {{.Request.URL.IsAbs}} {{.Request.URL.Query.Encode}} {{.Request.URL.Query.Has "q"}} {{.Request.URL.EscapedFragment}}`,
	`{{.Request.URL.User.Username}}`, `{{.Request.URL.User.String}}`, `{{with .Request.URL.User}}{{.Username}}{{end}}`,
	`{{.Request.FormValue "q"}} {{.Request.PostFormValue "q"}} {{.Request.Form}} {{.Request.PostForm}} {{.Request.PathValue "x"}} {{.Request.ProtoAtLeast 1 1}} {{.Request.ProtoAtLeast 2 0}}`,
	`{{range .Request.Cookies}}{{.Name}}={{.Value}} {{.}}{{end}} {{.Request.CookiesNamed "k"}}`, `{{(.Request.Cookie "k").Value}}`,
	`{{.Request.ContentLength}} {{.Request.TransferEncoding}} {{.Request.ProtoMajor}} {{.Request.Close}} {{.Request.Pattern}} {{.Request.Trailer}} {{.Request.MultipartForm}} {{.Request.Response}}`,
	`{{.Request.GetBody}}`, `{{.Request.Cancel}}`, `{{.Request.Body}}`, `{{.Request.Nothing}}`, `{{.Response.code}}`, `{{.finish}}`, `{{.Request.ctx}}`,
	`{{html .Request.UserAgent}} {{urlquery .Request.RequestURI}} {{len .Request.Header}} {{slice .TraceID 0 4}}`, `{{slice .Revision.Name 0 2 | printf "%s…"}}`,
	`{{$r := .Request}}{{with .Revision}}{{.Namespace}}/{{.Name}} {{$r.Method}} {{$.TraceID}}{{end}}`,
	`{{define "kv"}}"{{index . 0}}": "{{index . 1}}"{{end}}{{template "kv" (index .Request.Header "X-A")}}`,
	`{{block "line" .Revision}}{{.PodName}} {{.PodIP}} {{.Service}} {{.Configuration}}{{end}}{{- /* end */ -}}  `,
	`{{.Request.Header.Get}}`, `{{.Request.Header.Get 1}}`, `{{"X-A" | .Request.Header.Get | len}}`, `{{.Request.UserAgent "x"}}`, `{{.Request.Method.Foo}}`,
	`{{eq .Request.Method "GET" "POST"}} {{eq .Response.Code "200"}}`, `{{not .Request.TLS}} {{or .Request.TLS "none" | print | len | lt 0}}`,
	`{{call .Request.GetBody}}`, `{{.Request.Clone}}`, `{{.Request.Context.Err}}`, `{{.Request.Header.Write}}`, `{{.Request.WithContext}}`, `{{.Request}}`, `{{.}}`,
}

func TestLinesAreTextTemplates(t *testing.T) {
	for _, text := range texts {
		same(t, text)
	}
}

func FuzzTemplate(f *testing.F) {
	for _, text := range texts {
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		if len(text) > 500 || strings.Contains(text, "%") || strings.Count(text, "range") > 2 || strings.ContainsAny(text, "123456789") && strings.Contains(text, "range") {
			return // it would take long, or print addresses
		}
		same(t, text)
	})
}

// Parse rejects a method that is not in the table, and the table has all methods of its types.
func TestEveryMethodIsInTheTable(t *testing.T) {
	all := methods()
	for typ, names := range all {
		pointer := reflect.PointerTo(typ)
		for m := range pointer.Methods() {
			fn, ok := names[m.Name]
			if !ok {
				t.Errorf("%s.%s is neither offered nor refused", typ, m.Name)
				continue
			}
			path := "{{(.X)." + m.Name + "}}"
			_, err := template.Parse("x", path, all)
			if refused := err != nil && strings.Contains(err.Error(), m.Name); refused != (fn == nil) {
				t.Errorf("%s.%s: offered %v, error %v", typ, m.Name, fn != nil, err)
			}
		}
		for name := range names {
			_, method := pointer.MethodByName(name)
			field := false
			if typ.Kind() == reflect.Struct {
				_, field = typ.FieldByName(name)
			}
			if !method && !field {
				t.Errorf("%s has no %s", typ, name)
			}
		}
	}
}

func TestWhatCannotBeCalledIsRefusedWhenItIsSet(t *testing.T) {
	l := newLog(t, Config{Out: io.Discard})
	if err := l.Set("before", true, false); err != nil {
		t.Fatal(err)
	}
	for text, name := range map[string]string{
		"{{.Request.MultipartReader.NextPart}}": "MultipartReader", "{{with .Request}}{{.Context}}{{end}}": "Context", "{{call .Request.Header}}": "call", "{{.Request.Body}}": "Body",
	} {
		if err := l.Set(text, true, false); err == nil || !strings.Contains(err.Error(), name) {
			t.Errorf("%s: %v", text, err)
		}
		if got := l.setting.Load().text; got != "before" {
			t.Errorf("%s: now it is %q", text, got)
		}
	}
}
