package tracing

import (
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"time"

	tracepb "go.opentelemetry.io/proto/otlp/trace/v1"
	"google.golang.org/protobuf/proto"

	"github.com/sluice-proxy/sluice/internal/observability"
	"github.com/sluice-proxy/sluice/metrics/otlp"
	"github.com/sluice-proxy/sluice/proxy"
)

// toApp is a policy that forwards to one app, after a wait, or fails.
type toApp struct {
	fixed
	addr string
	wait time.Duration
	err  error
}

func (p toApp) Begin(*proxy.Request) proxy.Exchange { return p }

func (p toApp) Next(*proxy.Request, proxy.Attempt) (proxy.Decision, error) {
	time.Sleep(p.wait)
	return proxy.Forward(proxy.Upstream{Addr: p.addr}), p.err
}

func newTracer(t testing.TB, c Config) *Tracer {
	t.Helper()
	tr, err := New(c)
	if err != nil {
		t.Fatal(err)
	}
	return tr
}

func set(t testing.TB, tr *Tracer, e observability.Exporter) {
	t.Helper()
	if err := tr.Set(e); err != nil {
		t.Fatal(err)
	}
}

// run runs tr in the background. The function that it returns ends tr and waits for that.
func run(t testing.TB, tr *Tracer) (stop func()) {
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- tr.Run(ctx) }()
	return func() {
		t.Helper()
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
	}
}

// ready waits until Run records spans.
func ready(t testing.TB, tr *Tracer) {
	t.Helper()
	for end := time.Now().Add(time.Minute); ; time.Sleep(time.Millisecond) {
		s := tr.spans.start("ready", newTraceID(), spanID{}, otlp.Internal)
		s.end()
		if len(tr.queue.take()) > 0 {
			return
		}
		if time.Now().After(end) {
			t.Fatal("no span is recorded")
		}
	}
}

func serve(t testing.TB, p proxy.Policy) string {
	t.Helper()
	h, err := proxy.New(proxy.Config{Policy: p, Name: "test"})
	if err != nil {
		t.Fatal(err)
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	s := proxy.NewEngine(h, proxy.ServerConfig{})
	done := make(chan error, 1)
	go func() { done <- s.Serve(l) }()
	t.Cleanup(func() {
		s.Close()
		<-done
		ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
		defer cancel()
		if err := h.Drain(ctx); err != nil {
			t.Error(err)
		}
		h.Close()
	})
	return l.Addr().String()
}

// app answers 200 and passes on the fields that it got.
func app(t testing.TB) (addr string, came chan http.Header) {
	came = make(chan http.Header, 100)
	s := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { came <- r.Header }))
	t.Cleanup(s.Close)
	return s.Listener.Addr().String(), came
}

func get(t testing.TB, addr string, fields ...string) {
	t.Helper()
	c, err := net.Dial("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	_ = c.SetDeadline(time.Now().Add(time.Minute))
	fmt.Fprintf(c, "GET /path?query HTTP/1.1\r\nHost: h\r\nConnection: close\r\n%s\r\n", strings.Join(append(fields, ""), "\r\n"))
	if _, err := io.ReadAll(c); err != nil {
		t.Fatal(err)
	}
}

// collector collects the spans that are posted to it.
func collector(t *testing.T) (url string, spans chan *tracepb.Span) {
	spans = make(chan *tracepb.Span, 1000)
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		b, _ := io.ReadAll(r.Body)
		var d tracepb.TracesData
		if err := proto.Unmarshal(b, &d); err != nil || r.URL.Path != "/v1/traces" {
			t.Errorf("%s: %v", r.URL, err)
			w.WriteHeader(http.StatusBadRequest)
			return
		}
		for _, rs := range d.GetResourceSpans() {
			if a := rs.GetResource().GetAttributes(); len(a) != 1 || a[0].GetValue().GetStringValue() != "svc" {
				t.Errorf("resource %v", a)
			}
			for _, ss := range rs.GetScopeSpans() {
				for _, s := range ss.GetSpans() {
					spans <- s
				}
			}
		}
	}))
	t.Cleanup(s.Close)
	return s.URL + "/v1/traces", spans
}

func describe(s *tracepb.Span) string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s kind=%d status=%d %s", s.GetName(), s.GetKind(), s.GetStatus().GetCode(), s.GetStatus().GetMessage())
	var all []string
	for _, a := range s.GetAttributes() {
		all = append(all, fmt.Sprintf(" %s=%s%d", a.GetKey(), a.GetValue().GetStringValue(), a.GetValue().GetIntValue()))
	}
	slices.Sort(all)
	return b.String() + strings.Join(all, "")
}
