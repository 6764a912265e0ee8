package tracing

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	tracepb "go.opentelemetry.io/proto/otlp/trace/v1"
	"google.golang.org/protobuf/proto"

	"github.com/sluice-proxy/sluice/internal/observability"
	"github.com/sluice-proxy/sluice/metrics/otlp"
	"github.com/sluice-proxy/sluice/proxy"
)

// toApp is a policy that goes to one place, after a wait, or fails.
type toApp struct {
	fixed
	addr string
	wait time.Duration
	err  error
}

func (p toApp) Begin(*proxy.Request) proxy.Exchange { return p }

func (p toApp) Next(*proxy.Request, proxy.Attempt) (proxy.Hop, error) {
	time.Sleep(p.wait)
	return proxy.Hop{Addr: p.addr}, p.err
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

// run runs tr until the function that it returns is called, which waits for its end.
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
	for end := time.Now().Add(5 * time.Second); ; time.Sleep(time.Millisecond) {
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
	s := proxy.NewServer(h, proxy.ServerConfig{})
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

// app answers 200 and tells which fields came to it.
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
	_ = c.SetDeadline(time.Now().Add(5 * time.Second))
	fmt.Fprintf(c, "GET /path?query HTTP/1.1\r\nHost: h\r\nConnection: close\r\n%s\r\n", strings.Join(append(fields, ""), "\r\n"))
	if _, err := io.ReadAll(c); err != nil {
		t.Fatal(err)
	}
}

// collector gathers the spans that are posted to it.
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
	for _, a := range s.GetAttributes() {
		fmt.Fprintf(&b, " %s=%s%d", a.GetKey(), a.GetValue().GetStringValue(), a.GetValue().GetIntValue())
	}
	return b.String()
}

func TestRequestsBecomeSpans(t *testing.T) {
	url, spans := collector(t)
	tr := newTracer(t, Config{
		Span: "queue", Wait: "kn.queueproxy.wait", Resource: map[string]string{"service.name": "svc"},
		Attributes: func(r *proxy.Request) []otlp.Attribute {
			return []otlp.Attribute{{Name: "kn.revision.name", Text: "rev"}, {Name: "kn.service.name"}}
		},
	})
	set(t, tr, observability.Exporter{Protocol: observability.HTTP, Endpoint: url, SamplingRate: 1})
	stop := run(t, tr)
	ready(t, tr)
	addr, came := app(t)
	get(t, serve(t, tr.Wrap(toApp{addr: addr})), "Traceparent: 00-"+aTrace+"-"+aSpan+"-01", "Tracestate: a=b")
	get(t, serve(t, tr.Wrap(toApp{addr: addr, wait: 5 * time.Millisecond})))
	get(t, serve(t, tr.Wrap(toApp{err: &proxy.Error{Reason: proxy.QueueFull}})))
	get(t, serve(t, tr.Wrap(toApp{err: &proxy.Error{Reason: proxy.UnknownRevision}})))
	get(t, serve(t, tr.Wrap(toApp{addr: addr})), "User-Agent: kube-probe/1")
	stop() // flushes

	const attrs = " http.request.method=GET0 http.response.status_code=%d kn.revision.name=rev0 sluice.attempts=%d%s url.path=/path0"
	for i, want := range []string{
		"queue kind=2 status=0 " + fmt.Sprintf(attrs, 200, 1, ""),
		"kn.queueproxy.wait kind=1 status=0 ",
		"queue kind=2 status=0 " + fmt.Sprintf(attrs, 200, 1, ""),
		"queue kind=2 status=2 queue_full" + fmt.Sprintf(attrs, 503, 0, " sluice.reason=queue_full0"),
		"queue kind=2 status=0 " + fmt.Sprintf(attrs, 404, 0, " sluice.reason=unknown_revision0"),
	} {
		s := <-spans
		if got := describe(s); got != want {
			t.Errorf("span %d: %s, want %s", i, got, want)
		}
		id := fmt.Sprintf("00-%x-%x-01", s.GetTraceId(), s.GetSpanId())
		switch i {
		case 0:
			if s.GetTraceState() != "a=b" || fmt.Sprintf("%x", s.GetParentSpanId()) != aSpan || fmt.Sprintf("%x", s.GetTraceId()) != aTrace {
				t.Errorf("the trace that came was not gone on with: %v", s)
			}
			fallthrough
		case 2:
			if h := <-came; h.Get("Traceparent") != id {
				t.Errorf("the app got %q, want %q", h.Get("Traceparent"), id)
			}
		case 1:
			if s.GetEndTimeUnixNano()-s.GetStartTimeUnixNano() < 5e6 {
				t.Errorf("a wait of %d ns", s.GetEndTimeUnixNano()-s.GetStartTimeUnixNano())
			}
		}
	}
	if h := <-came; h.Get("Traceparent") != "" {
		t.Errorf("a probe got %q", h.Get("Traceparent"))
	}
	if len(spans) > 0 || tr.Dropped() > 0 {
		t.Errorf("%d spans more, %d dropped", len(spans), tr.Dropped())
	}
}

func TestOffTouchesNothing(t *testing.T) {
	tr := newTracer(t, Config{Span: "s"})
	addr, came := app(t)
	front := serve(t, tr.Wrap(toApp{addr: addr}))
	for _, e := range []observability.Exporter{{}, {Protocol: observability.Stdout}} { // nothing; nothing is recorded
		set(t, tr, e)
		get(t, front, "Tracestate: a=b", "X-B3-Traceid: x")
		if h := <-came; h.Get("Traceparent") != "" || h.Get("Tracestate") != "a=b" || h.Get("X-B3-Traceid") != "x" {
			t.Errorf("%+v: %v", e, h)
		}
	}
	var p proxy.Policy = tr.Wrap(fixed{})
	req := &proxy.Request{Header: proxy.NewHeader(http.Header{})}
	if n := testing.AllocsPerRun(100, func() { p.Begin(req) }); n > 0 {
		t.Errorf("%v allocations for a request while tracing is off", n)
	}
}

func TestSetIsLive(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a, b := &fake{}, &fake{}
		tr := newTracer(t, Config{Span: "s"})
		stop := run(t, tr)
		tr.record(1) // off
		tr.setFake(a)
		synctest.Wait()
		tr.record(2)
		kept := tr.setting.Load()
		if err := tr.Set(observability.Exporter{Protocol: "carrier pigeon", SamplingRate: 1}); err == nil || tr.setting.Load() != kept {
			t.Errorf("a protocol that there isn't: %v", err)
		}
		tr.setFake(b) // what was recorded before goes where it was to go
		synctest.Wait()
		if got, end := a.state(); got != 2 || !end {
			t.Errorf("the first got %d, closed: %v", got, end)
		}
		tr.record(1)
		set(t, tr, observability.Exporter{})
		synctest.Wait()
		tr.record(1)
		stop()
		if got, end := b.state(); got != 1 || !end || tr.Dropped() > 0 {
			t.Errorf("the second got %d, closed: %v, %d dropped", got, end, tr.Dropped())
		}
	})
}

// What a ConfigMap says again is no change: connections stay.
func TestSetOfTheSameIsNone(t *testing.T) {
	tr := newTracer(t, Config{Span: "s"})
	e := observability.Exporter{Protocol: observability.HTTP, Endpoint: "http://h/", SamplingRate: 1, Headers: map[string]string{"a": "b"}}
	set(t, tr, e)
	before := tr.setting.Load()
	e.Headers = map[string]string{"a": "b"}
	set(t, tr, e)
	if tr.setting.Load() != before {
		t.Error("the same was set anew")
	}
}

type buffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (b *buffer) Write(p []byte) (int, error) { b.mu.Lock(); defer b.mu.Unlock(); return b.b.Write(p) }

func (b *buffer) String() string { b.mu.Lock(); defer b.mu.Unlock(); return b.b.String() }

func TestZipkinAndLines(t *testing.T) {
	posted := make(chan string, 10)
	zipkin := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		b, _ := io.ReadAll(r.Body)
		posted <- r.Method + " " + r.URL.Path + " " + r.Header.Get("Content-Type") + " " + string(b)
		w.WriteHeader(http.StatusAccepted)
	}))
	defer zipkin.Close()
	e, err := observability.ClassicTracing(func(name string) (string, bool) {
		v, ok := map[string]string{
			"TRACING_CONFIG_BACKEND": "zipkin", "TRACING_CONFIG_ZIPKIN_ENDPOINT": zipkin.URL + "/api/v2/spans", "TRACING_CONFIG_DEBUG": "true",
		}[name]
		return v, ok
	})
	if err != nil {
		t.Fatal(err)
	}
	var out buffer
	for _, e := range []observability.Exporter{e, {Protocol: observability.Stdout, SamplingRate: 1}} {
		tr := newTracer(t, Config{Span: "queue", Resource: map[string]string{"service.name": "svc"}, Out: &out})
		set(t, tr, e)
		stop := run(t, tr)
		ready(t, tr)
		get(t, serve(t, tr.Wrap(toApp{err: &proxy.Error{Reason: proxy.QueueFull}})), "X-B3-Traceid: "+aTrace[:16], "X-B3-Spanid: "+aSpan)
		stop()
	}
	post := <-posted
	const head = "POST /api/v2/spans application/json ["
	if !strings.HasPrefix(post, head) {
		t.Fatal(post)
	}
	line, err := bufio.NewReader(strings.NewReader(out.String())).ReadString('\n')
	if err != nil {
		t.Fatal(err)
	}
	for _, text := range []string{strings.TrimSuffix(post[len(head):], "]"), line} {
		var got map[string]any
		if err := json.Unmarshal([]byte(text), &got); err != nil {
			t.Fatalf("%v: %s", err, text)
		}
		if d := got["duration"].(float64); d < 1 || d > 1e6 {
			t.Errorf("duration %v µs", d)
		}
		if at := time.UnixMicro(int64(got["timestamp"].(float64))); time.Since(at).Abs() > time.Minute {
			t.Errorf("timestamp %v", at)
		}
		if id, _ := got["id"].(string); len(id) != 16 || id == aSpan {
			t.Errorf("id %q", id)
		}
		delete(got, "duration")
		delete(got, "timestamp")
		delete(got, "id")
		b, _ := json.Marshal(got)
		want := `{"kind":"SERVER","localEndpoint":{"serviceName":"svc"},"name":"queue","parentId":"` + aSpan + `","tags":{"error":"queue_full","http.request.method":"GET",` +
			`"http.response.status_code":"503","sluice.attempts":"0","sluice.reason":"queue_full","url.path":"/path"},"traceId":"0000000000000000` + aTrace[:16] + `"}`
		if string(b) != want {
			t.Errorf("got  %s\nwant %s", b, want)
		}
	}
}

// Several tracers in one process, as in the quickstart, keep their spans apart.
func TestTracersAreApart(t *testing.T) {
	var a, b buffer
	ta, tb := newTracer(t, Config{Span: "a", Out: &a}), newTracer(t, Config{Span: "b", Out: &b})
	for _, tr := range []*Tracer{ta, tb} {
		set(t, tr, observability.Exporter{Protocol: observability.Stdout, SamplingRate: 1})
		stop := run(t, tr)
		defer stop()
		ready(t, tr)
	}
	addr, _ := app(t)
	inner := serve(t, tb.Wrap(toApp{addr: addr}))
	get(t, serve(t, ta.Wrap(toApp{addr: inner})))
	if spans := ta.queue.take(); len(spans) != 1 || spans[0].Name != "a" {
		t.Errorf("a has %v", spans)
	} else if child := tb.queue.take(); len(child) != 1 || child[0].Parent != spans[0].SpanID || child[0].TraceID != spans[0].TraceID {
		t.Errorf("b has %v, below %v", child, spans)
	}
}

// fake is a sink that takes as long as it is told to.
type fake struct {
	mu   sync.Mutex
	took time.Duration
	err  error
	got  int
	each int // the largest batch
	end  bool
}

func (f *fake) Export(ctx context.Context, s []otlp.Span) error {
	f.mu.Lock()
	f.each = max(f.each, len(s))
	took := f.took
	f.mu.Unlock()
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-time.After(took):
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.err == nil {
		f.got += len(s)
	}
	return f.err
}

func (f *fake) Close() {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.end = true
}

func (f *fake) state() (got int, end bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.got, f.end
}

func (f *fake) fail(err error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.err = err
}

func (t *Tracer) setFake(f *fake) {
	t.setting.Store(&setting{exporter: observability.Exporter{Protocol: "fake"}, sink: f, sampler: sampler{1 << 63, false}})
	t.changed <- struct{}{}
}

func (t *Tracer) record(n int) {
	for range n {
		s := t.spans.start("s", newTraceID(), spanID{}, otlp.Internal)
		s.end()
	}
}

func TestBatchesAreBoundedAndInTime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := &fake{took: time.Second}
		told := make(chan error, 10)
		tr := newTracer(t, Config{Span: "s", Failed: func(err error) { told <- err }})
		stop := run(t, tr)
		tr.setFake(f)
		synctest.Wait()
		after := func(d time.Duration, want int) {
			t.Helper()
			time.Sleep(d)
			synctest.Wait()
			if got, _ := f.state(); got != want {
				t.Errorf("%d spans exported, want %d", got, want)
			}
		}
		tr.record(3)
		after(batchDelay-time.Second, 0)
		after(3*time.Second, 3)
		tr.record(batchSize) // a batch waits for no tick
		after(1500*time.Millisecond, 3+batchSize)
		f.fail(errors.New("down"))
		tr.record(maxQueue + 5)
		after(10*time.Second, 3+batchSize)
		if n := tr.Dropped(); n != maxQueue+5 {
			t.Errorf("%d dropped, want %d", n, maxQueue+5)
		}
		f.fail(nil)
		tr.record(1)
		after(10*time.Second, 4+batchSize)
		if first, second := <-told, <-told; first == nil || second != nil || len(told) > 0 {
			t.Errorf("told %v, %v and %d times more", first, second, len(told))
		}
		tr.record(2)
		stop()
		if got, end := f.state(); got != 6+batchSize || !end || f.each != batchSize {
			t.Errorf("%d exported at the end, %d at once, closed: %v", got, f.each, end)
		}
	})
}

func TestFlushHasAnEnd(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := &fake{took: time.Hour}
		tr := newTracer(t, Config{Span: "s"})
		stop := run(t, tr)
		tr.setFake(f)
		synctest.Wait()
		tr.record(batchSize)
		time.Sleep(time.Minute) // an export hangs
		tr.record(1)
		begin := time.Now()
		stop()
		if d := time.Since(begin); d != flushTimeout || tr.Dropped() != batchSize+1 {
			t.Errorf("Run went on for %v, %d dropped", d, tr.Dropped())
		}
	})
}
