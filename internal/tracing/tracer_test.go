package tracing

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/sluice-proxy/sluice/internal/observability"
	"github.com/sluice-proxy/sluice/internal/outputs"
	"github.com/sluice-proxy/sluice/metrics/otlp"
	"github.com/sluice-proxy/sluice/proxy"
)

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
				t.Errorf("the span does not continue the client's trace: %v", s)
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
	for _, e := range []observability.Exporter{{}, {Protocol: observability.Stdout}} { // no protocol; a rate of 0
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

// A ConfigMap with the same settings changes nothing: connections stay open.
func TestSetOfTheSameIsNone(t *testing.T) {
	tr := newTracer(t, Config{Span: "s"})
	e := observability.Exporter{Protocol: observability.HTTP, Endpoint: "http://h/", SamplingRate: 1, Headers: map[string]string{"a": "b"}}
	set(t, tr, e)
	before := tr.setting.Load()
	e.Headers = map[string]string{"a": "b"}
	set(t, tr, e)
	if tr.setting.Load() != before {
		t.Error("the same exporter has replaced the previous one")
	}
}

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
	var out outputs.Buffer
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
	var a, b outputs.Buffer
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
