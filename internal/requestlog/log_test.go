package requestlog

import (
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"regexp"
	"strings"
	"sync"
	"testing"

	"github.com/sluice-proxy/sluice/proxy"
)

func TestBuiltInTemplate(t *testing.T) {
	var out lines
	l := newLog(t, Config{Out: &out, Revision: func(*proxy.Request) Revision { return Revision{PodIP: "10.1.2.3"} }})
	if err := l.Set("", true, false); err != nil {
		t.Fatal(err)
	}
	addr := serve(t, l, editor{addr: app(t, func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body)
		w.WriteHeader(http.StatusAccepted)
		_, _ = io.WriteString(w, "twelve bytes")
	})})
	ask(t, addr, "POST //a%20b?q='x' HTTP/1.1\nHost: h\nUser-Agent: say \"hi\"\nReferer: http://r/\n"+
		"Traceparent: 00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01\nContent-Length: 3\nConnection: close\n\nabc")
	want := `^\{"httpRequest": \{"requestMethod": "POST", "requestUrl": "//a%20b\?q\\u003D\\u0027x\\u0027", "requestSize": "3", "status": 202, ` +
		`"responseSize": "12", "userAgent": "say \\"hi\\"", "remoteIp": "127\.0\.0\.1:\d+", "serverIp": "10\.1\.2\.3", "referer": "http://r/", ` +
		`"latency": "0?[.0-9e-]+s", "protocol": "HTTP/1\.1"\}, "traceId": "0af7651916cd43dd8448eb211c80319c"\}` + "\n$"
	if line := out.await(t, 1)[0]; !regexp.MustCompile(want).MatchString(line) {
		t.Errorf("line\n%s is not\n%s", line, want)
	}
}

func TestEveryFieldOfTheContract(t *testing.T) {
	var out lines
	l := newLog(t, Config{Out: &out, Revision: func(r *proxy.Request) Revision {
		return Revision{"rev", r.Header.Get("Knative-Serving-Namespace"), "svc", "conf", "pod", "ip"}
	}})
	text := `{{.Request.Method}} {{.Request.RequestURI}} {{.Request.Proto}} {{.Request.Host}} {{.Request.ContentLength}} {{.Request.UserAgent}} ` +
		`{{.Request.Referer}} {{index .Request.Header "X-A" 1}} {{.Request.URL.Path}} {{.Response.Code}} {{.Response.Size}} ` +
		`{{.Revision.Name}} {{.Revision.Namespace}} {{.Revision.Service}} {{.Revision.Configuration}} {{.Revision.PodName}} {{.Revision.PodIP}} ` +
		`[{{.TraceID}}] [{{.Reason}}] {{gt .Response.Latency 0.0}}`
	if err := l.Set(text, true, false); err != nil {
		t.Fatal(err)
	}
	addr := serve(t, l, editor{addr: app(t, func(http.ResponseWriter, *http.Request) {})})
	ask(t, addr, "GET /p?q HTTP/1.1\nHost: h:1\nUser-Agent: ua\nReferer: re\nX-A: 1\nX-A: 2\nKnative-Serving-Namespace: ns\nX-B3-Traceid: b3\nConnection: close\n\n")
	want := "GET /p?q HTTP/1.1 h:1 0 ua re 2 /p 200 0 rev ns svc conf pod ip [b3] [] true\n"
	if line := out.await(t, 1)[0]; line != want {
		t.Errorf("line %q, want %q", line, want)
	}
}

func TestFailuresHaveTheirReason(t *testing.T) {
	var out lines
	l := newLog(t, Config{Out: &out})
	if err := l.Set("{{.Response.Code}} {{.Reason}}", true, false); err != nil {
		t.Fatal(err)
	}
	full := serve(t, l, editor{err: &proxy.Error{Reason: proxy.QueueFull, Text: "full\n"}})
	ask(t, full, "GET / HTTP/1.1\nHost: h\nConnection: close\n\n")
	if line := out.await(t, 1)[0]; line != "503 queue_full\n" {
		t.Errorf("line %q", line)
	}

	asked := make(chan struct{})
	hung := serve(t, l, editor{addr: app(t, func(_ http.ResponseWriter, r *http.Request) {
		close(asked)
		<-r.Context().Done()
	})})
	c, err := net.Dial("tcp", hung)
	if err != nil {
		t.Fatal(err)
	}
	fmt.Fprint(c, "GET / HTTP/1.1\r\nHost: h\r\n\r\n")
	<-asked
	c.Close()
	if line := out.await(t, 2)[1]; line != "499 client_gone\n" {
		t.Errorf("line %q", line)
	}
}

func TestSetIsLive(t *testing.T) {
	var out lines
	l := newLog(t, Config{Out: &out})
	addr := serve(t, l, editor{local: &proxy.Local{Status: 200}})
	get := func() { ask(t, addr, "GET /x HTTP/1.1\nHost: h\nConnection: close\n\n") }
	set := func(text string, on bool) {
		t.Helper()
		if err := l.Set(text, on, false); err != nil {
			t.Fatal(err)
		}
	}
	get() // off at first
	set("one", true)
	get()
	if err := l.Set("{{.Request", true, true); err == nil || strings.Contains(err.Error(), "\n") ||
		!strings.HasPrefix(err.Error(), "the template of the request log can't be used: template: ") {
		t.Errorf("error %v", err)
	}
	get() // as before
	set("two\n", true)
	get()
	set("{{.Broken", false)
	get()
	set("{{/* nothing */}} ", true)
	get()
	set("three", true)
	get()
	want := []string{"one\n", "one\n", "two\n", "three\n"}
	if all := out.await(t, len(want)); fmt.Sprint(all) != fmt.Sprint(want) {
		t.Errorf("lines %q, want %q", all, want)
	}
}

func TestProbesAreLoggedOnRequest(t *testing.T) {
	var out lines
	l := newLog(t, Config{Out: &out})
	addr := serve(t, l, editor{local: &proxy.Local{Status: 200}})
	all := func() {
		for _, field := range []string{"User-Agent: kube-probe/1.30", "K-Network-Probe: queue", "K-Kubelet-Probe: x", "User-Agent: curl"} {
			ask(t, addr, "GET / HTTP/1.1\nHost: h\n"+field+"\nConnection: close\n\n")
		}
	}
	for probes, want := range map[bool]int{false: 1, true: 4} {
		out.all = nil
		if err := l.Set("x", true, probes); err != nil {
			t.Fatal(err)
		}
		all()
		out.await(t, want)
	}
}

func TestARequestCannotForgeALine(t *testing.T) {
	var out lines
	l := newLog(t, Config{Out: &out})
	if err := l.Set("{{.Request.URL.Path}}", true, false); err != nil {
		t.Fatal(err)
	}
	addr := serve(t, l, editor{local: &proxy.Local{Status: 200}})
	ask(t, addr, "GET /a%0d%0ab%1b[2Jc HTTP/1.1\nHost: h\nConnection: close\n\n")
	if line := out.await(t, 1)[0]; line != "/a  b [2Jc\n" {
		t.Errorf("line %q", line)
	}
}

func TestLinesAreWholeAndApart(t *testing.T) {
	var out lines
	l := newLog(t, Config{Out: &out})
	if err := l.Set(`{{.Request.RequestURI}}`, true, false); err != nil {
		t.Fatal(err)
	}
	addr := serve(t, l, editor{local: &proxy.Local{Status: 200}})
	const clients, each = 16, 20
	var wg sync.WaitGroup
	for c := range clients {
		wg.Go(func() {
			for i := range each {
				ask(t, addr, fmt.Sprintf("GET /%d/%d/%s HTTP/1.1\nHost: h\nConnection: close\n\n", c, i, strings.Repeat("x", 100*i)))
			}
		})
	}
	wg.Wait()
	seen := map[string]bool{}
	for _, line := range out.await(t, clients*each) {
		seen[line] = true
	}
	for c := range clients {
		for i := range each {
			if want := fmt.Sprintf("/%d/%d/%s\n", c, i, strings.Repeat("x", 100*i)); !seen[want] {
				t.Errorf("there is no separate line for %.20q", want)
			}
		}
	}
}

func TestConfigIsChecked(t *testing.T) {
	if _, err := New(Config{}); err == nil {
		t.Error("no Out, no error")
	}
	if _, err := New(Config{Out: io.Discard, Buffer: -1}); err == nil {
		t.Error("a negative buffer, no error")
	}
}

func TestTraceID(t *testing.T) {
	for _, c := range []struct{ name, value, want string }{
		{"Traceparent", "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01", "0af7651916cd43dd8448eb211c80319c"},
		{"Traceparent", "00-abc", "abc"},
		{"Traceparent", "rubbish", ""},
		{"X-B3-Traceid", "80f198ee56343ba8", "80f198ee56343ba8"},
		{"B3", "80f198ee56343ba8-e457b5a2e4d86bd1-1", "80f198ee56343ba8"},
		{"B3", "0", ""},
		{"Other", "00-a-b", ""},
		{"Traceparent", `00-","severity":"ERROR-1`, ""},
		{"X-B3-Traceid", `a"b`, ""},
		{"X-B3-Traceid", strings.Repeat("a", 33), ""},
		{"B3", `a"-1`, ""},
	} {
		if got := traceID(http.Header{c.name: {c.value}}); got != c.want {
			t.Errorf("%s: %s: %q, want %q", c.name, c.value, got, c.want)
		}
	}
}

var errWrite = errors.New("no space left")
