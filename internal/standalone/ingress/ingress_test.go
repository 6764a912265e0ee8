package ingress

import (
	"math"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"

	"github.com/sluice-proxy/sluice/internal/knative"
	"github.com/sluice-proxy/sluice/proxy"
)

// route asks an ingress for host, and returns what the policy behind it got, or nil, and the answer.
func route(t testing.TB, routes []Route, host string, fields ...string) (*http.Request, *httptest.ResponseRecorder) {
	t.Helper()
	i := New(Config{Domain: "127.0.0.1.sslip.io", ProxyStatus: "test"})
	i.SetRoutes(routes)
	var next behind
	h, err := proxy.New(proxy.Config{Policy: i.Wrap(&next), Name: "test"})
	if err != nil {
		t.Fatal(err)
	}
	defer h.Close()
	req := httptest.NewRequest(http.MethodGet, "/a//b?c", nil)
	req.Host = host
	for n := 0; n+1 < len(fields); n += 2 {
		req.Header.Set(fields[n], fields[n+1])
	}
	w := httptest.NewRecorder()
	h.ServeHTTP(w, req)
	return next.got, w
}

// behind is a policy that keeps the request and answers it.
type behind struct {
	proxy.NopExchange
	got *http.Request
}

func (b *behind) Begin(req *proxy.Request) proxy.Exchange { b.got = req.HTTP(); return b }
func (*behind) Next(*proxy.Request, proxy.Attempt) (proxy.Decision, error) {
	return proxy.Answer(&proxy.Local{Status: http.StatusOK}), nil
}

var hello = []Route{
	{Namespace: "default", Service: "hello", Targets: []Target{{"hello-2", 100, ""}, {"hello-1", 0, "old"}}, Revisions: []string{"hello-1", "hello-2", "hello-0"}},
	{Namespace: "shop", Service: "hello", Targets: []Target{{"hello-9", 100, ""}}, Revisions: []string{"hello-9"}},
	{Namespace: "default", Service: "old-hello", Targets: []Target{{"old-hello-1", 100, ""}}, Revisions: []string{"old-hello-1", "hello-1"}},
}

func TestHosts(t *testing.T) {
	for host, want := range map[string]string{
		"hello.default.127.0.0.1.sslip.io:8080": "default/hello-2",
		"hello.default.127.0.0.1.sslip.io":      "default/hello-2",
		"HELLO.Default.127.0.0.1.SSLIP.io.:1":   "default/hello-2",
		"hello.default":                         "default/hello-2",
		"hello.default:80":                      "default/hello-2",
		"hello.default.svc":                     "default/hello-2",
		"hello.default.svc.cluster.local:8080":  "default/hello-2",
		"hello.default.localhost:8080":          "default/hello-2",
		"hello.shop.localhost":                  "shop/hello-9",
		"hello-0.default.localhost":             "default/hello-0",
		"hello-1.default.svc":                   "default/hello-1",
		"old-hello.default":                     "default/old-hello-1", // a service is preferred to a tag
		"hello.default.example.com":             "",
		"hello":                                 "",
		"":                                      "",
		"hello.other":                           "",
		"default.127.0.0.1.sslip.io":            "",
		"x.hello.default.127.0.0.1.sslip.io":    "",
		"hello-9.default":                       "",
		"[::1]:8080":                            "",
		"hello.default.127.0.0.1.sslip.io.127.0.0.1.sslip.io": "",
	} {
		got, w := route(t, hello, host)
		switch {
		case want == "" && (got != nil || w.Code != http.StatusNotFound):
			t.Errorf("%s: routed, or status %d", host, w.Code)
		case want != "" && got == nil:
			t.Errorf("%s: %d %s", host, w.Code, w.Body)
		case want != "":
			if is := got.Header.Get(knative.HeaderNamespace) + "/" + got.Header.Get(knative.HeaderRevision); is != want || got.Host != host {
				t.Errorf("%s: %s with Host %s, want %s", host, is, got.Host, want)
			}
		}
	}
}

func TestUnknownHostListsTheShownNames(t *testing.T) {
	i := New(Config{Domain: "127.0.0.1.sslip.io", Shown: "localhost"})
	i.SetRoutes(hello)
	if got := i.table.Load().shown; !slices.Contains(got, "hello.default.localhost") || slices.Contains(got, "hello.default.127.0.0.1.sslip.io") {
		t.Error(got)
	}
}

func TestUnknownHostListsTheKnown(t *testing.T) {
	_, w := route(t, hello, "missing")
	body := w.Body.String()
	for _, want := range []string{`"missing"`, "hello.default.127.0.0.1.sslip.io", "hello.shop.127.0.0.1.sslip.io"} {
		if !strings.Contains(body, want) {
			t.Errorf("%q is missing from %q", want, body)
		}
	}
	if got := w.Header().Get("Proxy-Status"); got != `test; error=destination_not_found; details="unknown_revision"` {
		t.Errorf("Proxy-Status: %s", got)
	}
}

func TestTagsAndDefaultRoute(t *testing.T) {
	tagged := []Route{{Namespace: "default", Service: "hello", Targets: []Target{{"hello-2", 100, ""}, {"hello-1", 0, "canary"}}}}
	got, _ := route(t, tagged, "canary-hello.default")
	if got.Header.Get(knative.HeaderRevision) != "hello-1" || got.Header.Get(knative.HeaderTag) != "canary" || got.Header.Get(knative.HeaderDefaultRoute) != "" {
		t.Errorf("tag: %v", got.Header)
	}
	got, _ = route(t, tagged, "hello.default")
	if got.Header.Get(knative.HeaderTag) != "" || got.Header.Get(knative.HeaderDefaultRoute) != "true" {
		t.Errorf("service with a tag: %v", got.Header)
	}
	got, _ = route(t, hello, "hello.shop")
	if got.Header.Get(knative.HeaderTag) != "" || got.Header.Get(knative.HeaderDefaultRoute) != "" {
		t.Errorf("service without a tag: %v", got.Header)
	}
}

func TestPeers31ForgedHeadersAreRemoved(t *testing.T) {
	var fields []string
	for _, name := range knative.InternalHeaders() {
		fields = append(fields, name, "forged")
	}
	got, _ := route(t, hello, "hello.shop", append(fields, "X-Mine", "kept", "X-Forwarded-For", "192.0.2.1")...)
	for name, values := range got.Header {
		if slices.Contains(values, "forged") {
			t.Errorf("%s went through", name)
		}
	}
	if got.Header.Get("X-Mine") != "kept" || got.Header.Get("X-Forwarded-For") != "192.0.2.1" {
		t.Errorf("removed too much: %v", got.Header)
	}
}

// 20 000 picks: five standard deviations leave a chance below 1e-6 of failing.
func TestSplitByWeight(t *testing.T) {
	const n = 20_000
	d := destination{targets: []Target{{"a", 10, ""}, {"b", 0, ""}, {"c", 60, ""}, {"d", 30, ""}}}
	counts := map[string]int{}
	for range n {
		counts[d.pick()]++
	}
	for _, target := range d.targets {
		p := float64(target.Percent) / 100
		if off := math.Abs(float64(counts[target.Revision]) - n*p); off > 5*math.Sqrt(n*p*(1-p)) {
			t.Errorf("%s: %d of %d", target.Revision, counts[target.Revision], n)
		}
	}
}

// What is for a broker goes to the address of brokers: by its host in a cluster, or by its path on this machine.
func TestBrokers(t *testing.T) {
	events := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Got", r.Host+" "+r.RequestURI)
		w.WriteHeader(http.StatusAccepted)
	}))
	defer events.Close()
	i := New(Config{Domain: "127.0.0.1.sslip.io"})
	i.SetRoutes(hello)
	h, err := proxy.New(proxy.Config{Policy: i.Wrap(&behind{}), Name: "test"})
	if err != nil {
		t.Fatal(err)
	}
	defer h.Close()
	ask := func(host, path string) *httptest.ResponseRecorder {
		req := httptest.NewRequest(http.MethodPost, path, strings.NewReader("event"))
		req.Host = host
		w := httptest.NewRecorder()
		h.ServeHTTP(w, req)
		return w
	}
	if w := ask(knative.BrokerHost, "/default/b"); w.Code != http.StatusNotFound {
		t.Errorf("without brokers: %d", w.Code)
	}
	i.SetBrokers(events.Listener.Addr().String(), []string{"/default/b"})
	if w := ask("localhost", "/default/c"); !strings.Contains(w.Body.String(), "the brokers here, at this address: /default/b\n") {
		t.Errorf("an unknown broker: %s", w.Body)
	}
	for _, c := range []struct {
		host, path string
		status     int
	}{
		{knative.BrokerHost, "/default/b", 202},
		{knative.BrokerHost + ":80", "/default/none", 202}, // for the brokers to refuse
		{"broker-ingress.knative-eventing", "/default/b?q", 202},
		{"localhost:8080", "/default/b", 202},
		{"127.0.0.1:8080", "/default/b/", 202},
		{"[::1]:8080", "/default/b", 202},
		{"localhost:8080", "/default/none", 404},
		{"example.com", "/default/b", 404},
		{"hello.default", "/default/b", 200},
	} {
		w := ask(c.host, c.path)
		if w.Code != c.status || c.status == 202 && w.Header().Get("Got") != c.host+" "+c.path {
			t.Errorf("%s%s: %d, %s", c.host, c.path, w.Code, w.Header().Get("Got"))
		}
	}
}
