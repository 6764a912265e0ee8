package forward

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"time"
)

// server answers with its name and what it got.
func server(t *testing.T, name string) string {
	t.Helper()
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		r.Header.Del("User-Agent")
		fmt.Fprintf(w, "%s: %s %s %s %v %s", name, r.Method, r.Host, r.RequestURI, r.Header, body)
	}))
	t.Cleanup(s.Close)
	return s.Listener.Addr().String()
}

// start returns a Proxy that sends names in svc to an ingress, and a client of it.
func start(t *testing.T) (*Proxy, *http.Client) {
	t.Helper()
	p, err := New(Config{Ingress: server(t, "ingress"), Serves: func(host string) bool { return strings.HasSuffix(host, ".svc") }})
	if err != nil {
		t.Fatal(err)
	}
	served := make(chan error, 1)
	go func() { served <- p.Serve() }()
	transport := &http.Transport{DisableCompression: true, Proxy: func(*http.Request) (*url.URL, error) { return url.Parse(p.URL()) }}
	t.Cleanup(func() {
		transport.CloseIdleConnections()
		if err := p.Close(); err != nil {
			t.Error(err)
		}
		if err := <-served; err != nil {
			t.Error(err)
		}
	})
	return p, &http.Client{Transport: transport, Timeout: time.Minute}
}

func send(t *testing.T, c *http.Client, url string) (int, string) {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, url, strings.NewReader("body"))
	if err != nil {
		t.Fatal(err)
	}
	req.Header = http.Header{"X-Forwarded-For": {"192.0.2.1"}, "Forwarded": {"for=192.0.2.1"}, "Content-Length": nil}
	resp, err := c.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return resp.StatusCode, string(body)
}

// A client that uses no proxy reaches the ingress by a path.
func TestDirect(t *testing.T) {
	p, _ := start(t)
	c := &http.Client{Timeout: time.Minute, Transport: &http.Transport{DisableCompression: true}}
	defer c.CloseIdleConnections()
	const fields = "map[Content-Length:[4] Forwarded:[for=192.0.2.1] X-Forwarded-For:[192.0.2.1]] body"
	for url, want := range map[string]string{
		"http://a.b.svc":                  "ingress: POST a.b.svc / " + fields,
		"http://a.b.svc/x//y%2fz?a;b=%zz": "ingress: POST a.b.svc /x//y%2fz?a;b=%zz " + fields,
		"http://a.b.svc?q":                "ingress: POST a.b.svc /?q " + fields,
	} {
		direct := p.Direct(url)
		if !strings.HasPrefix(direct, p.URL()+"/a.b.svc") {
			t.Errorf("%s is directly %s", url, direct)
		}
		if status, got := send(t, c, direct); status != http.StatusOK || got != want {
			t.Errorf("%s: %d\n%s\nwant\n%s", url, status, got, want)
		}
	}
	for _, url := range []string{"http://other.example/a.b.svc", "https://a.b.svc", "http://[", ""} {
		if got := p.Direct(url); got != url {
			t.Errorf("%s is directly %s", url, got)
		}
	}
	for _, path := range []string{"/", "/other.example/a.b.svc", "//a.b.svc"} {
		if status, got := send(t, c, p.URL()+path); status != http.StatusBadRequest || !strings.Contains(got, "forwards http:// URLs only") {
			t.Errorf("%s: %d %s", path, status, got)
		}
	}
}

func TestForwardsUnchanged(t *testing.T) {
	_, c := start(t)
	other := server(t, "other")
	for url, want := range map[string]string{
		"http://a.b.svc/x//y%2fz?a;b=%zz": "ingress: POST a.b.svc /x//y%2fz?a;b=%zz map[Content-Length:[4] Forwarded:[for=192.0.2.1] X-Forwarded-For:[192.0.2.1]] body",
		"http://" + other + "/":           "other: POST " + other + " / map[Content-Length:[4] Forwarded:[for=192.0.2.1] X-Forwarded-For:[192.0.2.1]] body",
	} {
		if status, got := send(t, c, url); status != http.StatusOK || got != want {
			t.Errorf("%s: %d\n%s\nwant\n%s", url, status, got, want)
		}
	}
}

func TestRefuses(t *testing.T) {
	p, c := start(t)
	closed, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	closed.Close()
	_, port, _ := strings.Cut(strings.TrimPrefix(p.URL(), "http://"), ":")
	for url, want := range map[string]string{
		p.URL() + "/":                       "502 " + p.URL() + "/: dial tcp " + strings.TrimPrefix(p.URL(), "http://") + ": that is this proxy itself\n",
		"http://0.0.0.0:" + port:            "that is this proxy itself\n",
		"http://" + closed.Addr().String():  "502 http://" + closed.Addr().String() + "/: dial tcp " + closed.Addr().String() + ": connect: connection refused\n",
		"http://no-such-host.invalid./path": "502 http://no-such-host.invalid./path: dial tcp: lookup no-such-host.invalid.",
	} {
		status, got := send(t, c, url)
		if got = fmt.Sprint(status, " ", got); !strings.Contains(got, want) {
			t.Errorf("%s: %q, want %q", url, got, want)
		}
	}
	for head, want := range map[string]string{
		"CONNECT example.com:443 HTTP/1.1\r\nHost: example.com:443\r\n\r\n": "405 CONNECT example.com:443: the quickstart's proxy for the cluster's names forwards http:// URLs only: unset HTTPS_PROXY and ALL_PROXY\n",
		"GET /x HTTP/1.1\r\nHost: a.b.svc\r\n\r\n":                          "400 /x: the quickstart's proxy for the cluster's names forwards http:// URLs only: set HTTP_PROXY to " + p.URL() + "\n",
		"GET https://a.b.svc/ HTTP/1.1\r\nHost: a.b.svc\r\n\r\n":            "400 https://a.b.svc/: the quickstart's proxy",
	} {
		conn, err := net.Dial("tcp", strings.TrimPrefix(p.URL(), "http://"))
		if err != nil {
			t.Fatal(err)
		}
		fmt.Fprint(conn, head)
		resp, err := http.ReadResponse(bufio.NewReader(conn), nil)
		if err != nil {
			t.Fatal(err)
		}
		body, _ := io.ReadAll(io.LimitReader(resp.Body, resp.ContentLength))
		conn.Close()
		if got := fmt.Sprint(resp.StatusCode, " ", string(body)); !strings.HasPrefix(got, want) {
			t.Errorf("%q: %q", head, got)
		}
	}
}

// Where this process itself has to use a proxy, as in an office, so do the requests that it passes on.
func TestOwnProxyOfTheProcessIsUsed(t *testing.T) {
	p := &Proxy{config: Config{Ingress: "192.0.2.1:80"}}
	for host, want := range map[string]string{"http://192.0.2.1:80": "<nil>", "http://example.com": office, "http://x.invalid.": "<nil>"} {
		req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, host, nil)
		if err != nil {
			t.Fatal(err)
		}
		if got, err := p.upstreamProxy(req); err != nil || fmt.Sprint(got) != want {
			t.Errorf("%s: %v, %v; want %s", host, got, err, want)
		}
	}
}

func TestCloseEndsRequests(t *testing.T) {
	entered := make(chan struct{})
	hanging := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		close(entered)
		<-r.Context().Done()
	}))
	defer hanging.Close()
	p, c := start(t)
	done := make(chan struct{})
	go func() {
		defer close(done)
		req, _ := http.NewRequestWithContext(context.WithoutCancel(t.Context()), http.MethodGet, hanging.URL, nil)
		if resp, err := c.Do(req); err == nil {
			resp.Body.Close()
		}
	}()
	<-entered
	if err := p.Close(); err != nil {
		t.Error(err)
	}
	<-done
}
