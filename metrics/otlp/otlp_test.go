package otlp

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	dto "github.com/prometheus/client_model/go"
	metricspb "go.opentelemetry.io/proto/otlp/metrics/v1"
	resourcepb "go.opentelemetry.io/proto/otlp/resource/v1"
	tracepb "go.opentelemetry.io/proto/otlp/trace/v1"
	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/proto"

	"github.com/sluice-proxy/sluice/metrics"
)

// transports runs test over every transport there is. set completes a Config.
func transports(t *testing.T, test func(t *testing.T, c *collector, config Config)) {
	for name, v := range map[string]struct {
		protocol string
		tls, zip bool
	}{
		"http": {HTTP, false, false}, "http gzip": {HTTP, false, true}, "https": {HTTP, true, false},
		"grpc": {GRPC, false, false}, "grpc gzip": {GRPC, false, true}, "grpc tls": {GRPC, true, false},
	} {
		t.Run(name, func(t *testing.T) {
			c := newCollector()
			config := Config{Protocol: v.protocol, Gzip: v.zip, Headers: map[string]string{"api-key": "k e y"}}
			serve := c.overHTTP
			if v.protocol == GRPC {
				serve = c.overGRPC
			}
			config.Endpoint, config.CAFile = serve(t, v.tls)
			test(t, c, config)
			h := http.Header{}
			for k, v := range take(t, c.headers) { // gRPC's are in lower case
				h[http.CanonicalHeaderKey(k)] = v
			}
			if h.Get("Api-Key") != "k e y" {
				t.Errorf("headers %v have no api-key", h)
			}
		})
	}
}

func path(c *Config, p string) {
	if c.Protocol == HTTP {
		c.Endpoint += p
	}
}

func TestMetricsReachACollector(t *testing.T) {
	transports(t, func(t *testing.T, c *collector, config Config) {
		path(&config, "/v1/metrics")
		r := prometheus.NewRegistry()
		n := prometheus.NewCounter(prometheus.CounterOpts{Name: "sluice_proxy_errors_total", ConstLabels: prometheus.Labels{"reason": "busy"}})
		r.MustRegister(n)
		n.Add(3)
		config.Gatherer, config.Interval, config.Resource = r, time.Hour, map[string]string{"service.name": "s"}
		m, err := NewMetrics(config)
		if err != nil {
			t.Fatal(err)
		}
		run(t, m)() // flushes at its end
		got := take(t, c.metrics).GetResourceMetrics()[0]
		if a := got.GetResource().GetAttributes(); len(a) != 1 || a[0].GetKey() != "service.name" || a[0].GetValue().GetStringValue() != "s" {
			t.Errorf("resource %v", a)
		}
		sum := got.GetScopeMetrics()[0].GetMetrics()[0]
		if p := sum.GetSum().GetDataPoints()[0]; sum.GetName() != "sluice_proxy_errors_total" || p.GetAsDouble() != 3 || !sum.GetSum().GetIsMonotonic() {
			t.Errorf("metric %v", sum)
		}
	})
}

func TestSpansReachACollector(t *testing.T) {
	transports(t, func(t *testing.T, c *collector, config Config) {
		path(&config, "/v1/traces")
		config.Resource = map[string]string{"service.name": "s"}
		s, err := NewSpans(config)
		if err != nil {
			t.Fatal(err)
		}
		defer s.Close()
		begin := time.Unix(1700000000, 5)
		if err := s.Export(t.Context(), []Span{
			{
				TraceID: [16]byte{1}, SpanID: [8]byte{2}, Name: "queue", Kind: Server, Start: begin, End: begin.Add(time.Second), State: "a=b",
				Attributes: []Attribute{{Name: "http.request.method", Text: "GET"}, {Name: "http.response.status_code", Number: 503}}, Failed: true, Error: "busy",
			},
			{TraceID: [16]byte{1}, SpanID: [8]byte{3}, Parent: [8]byte{2}, Name: "wait \xff", Start: begin, End: begin},
		}); err != nil {
			t.Fatal(err)
		}
		got := take(t, c.traces).GetResourceSpans()[0].GetScopeSpans()[0].GetSpans()
		want := `[{"traceId":"AQAAAAAAAAAAAAAAAAAAAA==","spanId":"AgAAAAAAAAA=","traceState":"a=b","flags":1,"name":"queue","kind":"SPAN_KIND_SERVER",` +
			`"startTimeUnixNano":"1700000000000000005","endTimeUnixNano":"1700000001000000005","attributes":[{"key":"http.request.method","value":{"stringValue":"GET"}},` +
			`{"key":"http.response.status_code","value":{"intValue":"503"}}],"status":{"message":"busy","code":"STATUS_CODE_ERROR"}},` +
			`{"traceId":"AQAAAAAAAAAAAAAAAAAAAA==","spanId":"AwAAAAAAAAA=","parentSpanId":"AgAAAAAAAAA=","flags":1,"name":"wait \ufffd","kind":"SPAN_KIND_INTERNAL",` +
			`"startTimeUnixNano":"1700000000000000005","endTimeUnixNano":"1700000000000000005"}]`
		var all []json.RawMessage
		if err := json.Unmarshal([]byte(want), &all); err != nil {
			t.Fatal(err)
		}
		for i, raw := range all {
			var w tracepb.Span
			if err := protojson.Unmarshal(raw, &w); err != nil {
				t.Fatal(err)
			}
			if !proto.Equal(got[i], &w) {
				t.Errorf("span %d is\n%v, want\n%v", i, got[i], &w)
			}
		}
	})
}

// run runs m until the function that it returns is called, which waits for its end.
func run(t *testing.T, m *Metrics) (stop func()) {
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- m.Run(ctx) }()
	return func() {
		t.Helper()
		cancel()
		select {
		case err := <-done:
			if err != nil {
				t.Error(err)
			}
		case <-time.After(time.Minute):
			t.Fatal("Run goes on")
		}
	}
}

// converted is what convert makes, as the generated messages read it.
func converted(t *testing.T, families []*dto.MetricFamily) (target []*dto.LabelPair, all []*metricspb.Metric) {
	t.Helper()
	target, messages := convert(families, time.Now(), time.Now())
	for _, m := range messages {
		all = append(all, new(metricspb.Metric))
		if err := proto.Unmarshal(m, all[len(all)-1]); err != nil {
			t.Fatal(err)
		}
	}
	return target, all
}

func resourceOf(t *testing.T, target []*dto.LabelPair, configured map[string]string) *resourcepb.Resource {
	t.Helper()
	r := new(resourcepb.Resource)
	if err := proto.Unmarshal(resource(target, configured), r); err != nil {
		t.Fatal(err)
	}
	return r
}

// The names that Knative's dashboards know are those of the contract, whatever the collectors call them for Prometheus.
func TestContractNames(t *testing.T) {
	r := prometheus.NewRegistry()
	q, err := metrics.NewQueueCollectors(r, metrics.QueueConfig{
		Namespace: "ns", Service: "svc", Configuration: "cfg", Revision: "rev", Pod: "pod", Depth: func() int { return 4 },
	})
	if err != nil {
		t.Fatal(err)
	}
	q.Observe(200, "kn:default", 20*time.Millisecond)
	q.ObserveApp(503, time.Minute)
	families, err := r.Gather()
	if err != nil {
		t.Fatal(err)
	}
	target, all := converted(t, families)
	res := map[string]string{}
	for _, a := range resourceOf(t, target, nil).GetAttributes() {
		res[a.GetKey()] = a.GetValue().GetStringValue()
	}
	for k, v := range map[string]string{"kn.service.name": "svc", "kn.configuration.name": "cfg", "kn.revision.name": "rev", "k8s.namespace.name": "ns", "k8s.pod.name": "pod"} {
		if res[k] != v {
			t.Errorf("resource attribute %s is %q, want %q", k, res[k], v)
		}
	}
	want := map[string]string{"http.server.request.duration": "s", "kn.serving.invocation.duration": "s", "kn.serving.queue.depth": ""}
	for _, m := range all {
		if unit, ok := want[m.GetName()]; !ok || m.GetUnit() != unit {
			t.Errorf("metric %q in %q", m.GetName(), m.GetUnit())
		}
		delete(want, m.GetName())
		for _, p := range m.GetHistogram().GetDataPoints() {
			if len(p.GetExplicitBounds()) != 14 || len(p.GetBucketCounts()) != 15 {
				t.Errorf("%s: %d bounds, %d buckets", m.GetName(), len(p.GetExplicitBounds()), len(p.GetBucketCounts()))
			}
			if m.GetName() == "http.server.request.duration" {
				if n := p.GetBucketCounts()[2]; n != 1 {
					t.Errorf("20 ms are in the buckets %v", p.GetBucketCounts())
				}
			} else if p.GetBucketCounts()[14] != 1 || p.GetSum() != 60 || p.GetAttributes()[0].GetKey() != "http.response.status_code" || p.GetAttributes()[0].GetValue().GetIntValue() != 503 {
				t.Errorf("a minute is in %v", p)
			}
		}
	}
	if len(want) > 0 {
		t.Errorf("missing: %v", want)
	}
}

func TestActivatorContractNames(t *testing.T) {
	r := prometheus.NewRegistry()
	a, err := metrics.NewActivatorCollectors(r, metrics.ActivatorConfig{
		Connected: func() bool { return true }, ConnectionErrors: func() uint64 { return 7 },
	})
	if err != nil {
		t.Fatal(err)
	}
	a.Revision(metrics.RevisionLabels{Namespace: "ns", Revision: "rev"}).Observe(200, time.Second)
	families, err := r.Gather()
	if err != nil {
		t.Fatal(err)
	}
	_, all := converted(t, families)
	got := map[string]bool{}
	for _, m := range all {
		got[m.GetName()] = true
	}
	for _, name := range []string{
		"kn.revision.request.queued", "kn.revision.request.active", "kn.revision.request.concurrency", "http.server.request.duration",
		"kn.activator.stats.conn.reachable", "kn.activator.stats.conn.errors",
	} {
		if !got[name] {
			t.Errorf("no %s among %v", name, got)
		}
	}
}

// An activator's target_info has what its configuration has, as Prometheus writes it.
func TestResourceHasNothingTwice(t *testing.T) {
	r := prometheus.NewRegistry()
	r.MustRegister(prometheus.NewGauge(prometheus.GaugeOpts{Name: "target_info", ConstLabels: prometheus.Labels{
		"service_name": "old", "k8s_pod_name": "pod", "other_thing": "x", "empty": "",
	}}))
	families, err := r.Gather()
	if err != nil {
		t.Fatal(err)
	}
	target, all := converted(t, families)
	got := ""
	for _, a := range resourceOf(t, target, map[string]string{"service.name": "new", "a": "b"}).GetAttributes() {
		got += a.GetKey() + "=" + a.GetValue().GetStringValue() + " "
	}
	if want := "a=b k8s.pod.name=pod other_thing=x service.name=new "; got != want || len(all) > 0 {
		t.Errorf("resource %s, want %s; %d metrics", got, want, len(all))
	}
}

func TestOtherKindsOfMetrics(t *testing.T) {
	r := prometheus.NewRegistry()
	s := prometheus.NewSummary(prometheus.SummaryOpts{Name: "s", Objectives: map[float64]float64{0.5: 0.1}})
	g := prometheus.NewGauge(prometheus.GaugeOpts{Name: "g"})
	u := prometheus.NewUntypedFunc(prometheus.UntypedOpts{Name: "u"}, func() float64 { return 8 })
	r.MustRegister(s, g, u)
	s.Observe(5)
	g.Set(-1)
	families, err := r.Gather()
	if err != nil {
		t.Fatal(err)
	}
	_, all := converted(t, families)
	if v := all[0].GetGauge().GetDataPoints()[0].GetAsDouble(); v != -1 {
		t.Errorf("gauge %v", v)
	}
	if p := all[1].GetSummary().GetDataPoints()[0]; p.GetCount() != 1 || p.GetQuantileValues()[0].GetValue() != 5 {
		t.Errorf("summary %v", p)
	}
	if v := all[2].GetGauge().GetDataPoints()[0].GetAsDouble(); v != 8 {
		t.Errorf("untyped %v", v)
	}
}

func TestConfigIsChecked(t *testing.T) {
	for name, c := range map[string]Config{
		"protocol": {Protocol: "prometheus", Endpoint: "http://h"},
		"scheme":   {Protocol: HTTP, Endpoint: "ftp://h"},
		"host":     {Protocol: HTTP, Endpoint: "h:4318"},
		"url":      {Protocol: HTTP, Endpoint: "http://h:x"},
		"duration": {Protocol: HTTP, Endpoint: "http://h", Timeout: -1},
		"key":      {Protocol: HTTP, Endpoint: "http://h", CertFile: "c"},
		"no file":  {Protocol: HTTP, Endpoint: "http://h", CAFile: "/nowhere/ca"},
	} {
		if _, err := NewSpans(c); err == nil || strings.Contains(err.Error(), "\n") {
			t.Errorf("%s: %v", name, err)
		}
	}
	if _, err := NewMetrics(Config{Protocol: HTTP, Endpoint: "http://h"}); err == nil {
		t.Error("no Gatherer, no error")
	}
}

func isRetryable(err error) bool {
	_, ok := errors.AsType[*retryable](err)
	return ok
}

func TestRetryAfter(t *testing.T) {
	soon := time.Now().Add(time.Hour).UTC().Format(http.TimeFormat)
	for v, want := range map[string]time.Duration{"": 0, "7": 7 * time.Second, "-1": 0, "x": 0, "Mon, 02 Jan 2006 15:04:05 GMT": 0, soon: time.Hour} {
		if got := retryAfter(v); (got - want).Abs() > 2*time.Second {
			t.Errorf("%q: %v, want %v", v, got, want)
		}
	}
}
