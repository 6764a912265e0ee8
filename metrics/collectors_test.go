package metrics

import (
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promhttp"
)

// exposed is what Prometheus reads, one sample a key; histograms by bucket.
func exposed(t testing.TB, r *prometheus.Registry) map[string]string {
	t.Helper()
	s := httptest.NewServer(promhttp.HandlerFor(r, promhttp.HandlerOpts{ErrorHandling: promhttp.HTTPErrorOnError}))
	defer s.Close()
	resp, err := s.Client().Get(s.URL)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil || resp.StatusCode != http.StatusOK {
		t.Fatalf("%d %s %v", resp.StatusCode, body, err)
	}
	out := map[string]string{}
	for line := range strings.Lines(string(body)) {
		line = strings.TrimSuffix(line, "\n")
		if i := strings.LastIndexByte(line, ' '); !strings.HasPrefix(line, "#") {
			out[line[:i]] = line[i+1:]
		} else if strings.HasPrefix(line, "# TYPE ") {
			out[line[:i]] = line[i+1:]
		}
	}
	return out
}

func expect(t *testing.T, got, want map[string]string) {
	t.Helper()
	for k, v := range want {
		if got[k] != v {
			t.Errorf("%s is %q, want %q", k, got[k], v)
		}
	}
}

func boundaries(got map[string]string, name string) (n int) {
	for k := range got {
		if strings.HasPrefix(k, name+"_bucket{") {
			n++
		}
	}
	return n
}

func TestRouteTag(t *testing.T) {
	for _, c := range []struct{ tag, defaultRoute, current, classic string }{
		{"", "", "kn:disabled", "DISABLED"},
		{"", "true", "kn:default", "DEFAULT"},
		{"", "false", "kn:default", "DEFAULT"},
		{"blue", "true", "kn:undefined", "UNDEFINED"},
		{"blue", "false", "blue", "blue"},
		{"blue", "", "blue", "blue"},
	} {
		if got := RouteTag(c.tag, c.defaultRoute); got != c.current {
			t.Errorf("RouteTag(%q, %q) = %q, want %q", c.tag, c.defaultRoute, got, c.current)
		}
		if got := ClassicRouteTag(c.tag, c.defaultRoute); got != c.classic {
			t.Errorf("ClassicRouteTag(%q, %q) = %q, want %q", c.tag, c.defaultRoute, got, c.classic)
		}
	}
}

func queueConfig() QueueConfig {
	return QueueConfig{
		Namespace: "ns", Service: "svc", Configuration: "conf", Revision: "rev", Pod: "pod",
		Depth: func() int { return 7 },
	}
}

func newQueue(t testing.TB, c QueueConfig) (*QueueCollectors, *prometheus.Registry) {
	t.Helper()
	r := prometheus.NewPedanticRegistry()
	q, err := NewQueueCollectors(r, c)
	if err != nil {
		t.Fatal(err)
	}
	return q, r
}

func TestQueueCollectorsCurrentNames(t *testing.T) {
	q, r := newQueue(t, queueConfig())
	q.Observe(200, q.RouteTag("", ""), 30*time.Millisecond)
	q.Observe(200, "blue", 20*time.Second)
	q.ObserveApp(503, 250*time.Millisecond)
	got := exposed(t, r)
	expect(t, got, map[string]string{
		"# TYPE http_server_request_duration_seconds": "histogram",
		`http_server_request_duration_seconds_bucket{http_response_status_code="200",kn_route_tag="kn:disabled",le="0.025"}`: "0",
		`http_server_request_duration_seconds_bucket{http_response_status_code="200",kn_route_tag="kn:disabled",le="0.05"}`:  "1",
		`http_server_request_duration_seconds_count{http_response_status_code="200",kn_route_tag="kn:disabled"}`:             "1",
		`http_server_request_duration_seconds_sum{http_response_status_code="200",kn_route_tag="blue"}`:                      "20",
		`http_server_request_duration_seconds_bucket{http_response_status_code="200",kn_route_tag="blue",le="10"}`:           "0",
		"# TYPE kn_serving_invocation_duration_seconds":                                                                      "histogram",
		`kn_serving_invocation_duration_seconds_sum{http_response_status_code="503"}`:                                        "0.25",
		`kn_serving_invocation_duration_seconds_bucket{http_response_status_code="503",le="0.25"}`:                           "1",
		"# TYPE kn_serving_queue_depth": "gauge",
		"kn_serving_queue_depth":        "7",
		`target_info{k8s_namespace_name="ns",k8s_pod_name="pod",kn_configuration_name="conf",kn_revision_name="rev",kn_service_name="svc"}`: "1",
	})
	if n := boundaries(got, "kn_serving_invocation_duration_seconds"); n != 14+1 {
		t.Errorf("%d buckets", n)
	}
}

func TestQueueCollectorsClassicNames(t *testing.T) {
	c := queueConfig()
	c.Classic, c.Service = true, ""
	q, r := newQueue(t, c)
	q.Observe(404, q.RouteTag("blue", "true"), 30*time.Millisecond)
	q.ObserveApp(200, 60*time.Second)
	got := exposed(t, r)
	// Labels are sorted in the text; the route tag comes after the revision.
	labels := func(code, class, extra string) string {
		return `{configuration_name="conf",container_name="queue-proxy",namespace_name="ns",pod_name="pod",response_code="` + code +
			`",response_code_class="` + class + `",revision_name="rev",` + extra + `service_name="unknown"`
	}
	tagged := labels("404", "4xx", `route_tag="UNDEFINED",`)
	app := labels("200", "2xx", "")
	expect(t, got, map[string]string{
		"# TYPE revision_request_count":                                 "counter",
		"revision_request_count" + tagged + "}":                         "1",
		"# TYPE revision_request_latencies":                             "histogram",
		"revision_request_latencies_sum" + tagged + "}":                 "30",
		"revision_request_latencies_bucket" + tagged + `,le="20"}`:      "0",
		"revision_request_latencies_bucket" + tagged + `,le="40"}`:      "1",
		"revision_app_request_count" + app + "}":                        "1",
		"revision_app_request_latencies_bucket" + app + `,le="50000"}`:  "0",
		"revision_app_request_latencies_bucket" + app + `,le="100000"}`: "1",
		`revision_queue_depth{configuration_name="conf",container_name="queue-proxy",namespace_name="ns",pod_name="pod",revision_name="rev",service_name="unknown"}`: "7",
	})
	if n := boundaries(got, "revision_request_latencies"); n != 26+1 {
		t.Errorf("%d buckets", n)
	}
	for k := range got {
		if strings.Contains(k, "_total") || strings.Contains(k, "kn_") || strings.Contains(k, "target_info") {
			t.Errorf("unexpected %s", k)
		}
	}
}

func TestQueueWithoutLimitHasNoDepth(t *testing.T) {
	for _, classic := range []bool{false, true} {
		_, r := newQueue(t, QueueConfig{Classic: classic})
		for k := range exposed(t, r) {
			if strings.Contains(k, "depth") {
				t.Errorf("unexpected %s", k)
			}
		}
	}
}

// Clients choose the tag and the app the status: neither may grow without end.
func TestQueueSeriesAreBounded(t *testing.T) {
	c := queueConfig()
	c.MaxTags = 5
	q, r := newQueue(t, c)
	q.Observe(200, "kn:default", 0)
	for i := range 100 {
		q.Observe(200, fmt.Sprintf("tag-%d", i), time.Millisecond)
	}
	q.Observe(200, "tag-0\xff", time.Millisecond)
	q.Observe(200, strings.Repeat("x", 5000), time.Millisecond)
	for _, status := range []int{-5, 0, 99, 600, 1 << 40} {
		q.Observe(status, "tag-0", time.Millisecond)
	}
	got := exposed(t, r)
	tags := map[string]bool{}
	for k := range got {
		if _, rest, ok := strings.Cut(k, `kn_route_tag="`); ok {
			tag, _, _ := strings.Cut(rest, `"`)
			tags[tag] = true
		}
	}
	if len(tags) != 5+2 {
		t.Errorf("tags %v", tags)
	}
	expect(t, got, map[string]string{
		`http_server_request_duration_seconds_count{http_response_status_code="200",kn_route_tag="tag-4"}`:        "1",
		`http_server_request_duration_seconds_count{http_response_status_code="200",kn_route_tag="kn:undefined"}`: "97",
		`http_server_request_duration_seconds_count{http_response_status_code="200",kn_route_tag="kn:default"}`:   "1",
		`http_server_request_duration_seconds_count{http_response_status_code="0",kn_route_tag="tag-0"}`:          "5",
	})
}

// The proxy hands in strings that lie in a buffer it reuses.
func TestQueueKeepsNoCallersMemory(t *testing.T) {
	q, r := newQueue(t, queueConfig())
	var b strings.Builder
	b.WriteString("blue")
	q.Observe(200, b.String(), time.Millisecond)
	for tag := range *q.byTag.all.Load() {
		if tag == "blue" && sameMemory(tag, b.String()) {
			t.Error("the map's key lies in the caller's buffer")
		}
	}
	expect(t, exposed(t, r), map[string]string{
		`http_server_request_duration_seconds_count{http_response_status_code="200",kn_route_tag="blue"}`: "1",
	})
}

func TestQueueCollectorsUnderRace(t *testing.T) {
	c := queueConfig()
	c.MaxTags = 3
	q, r := newQueue(t, c)
	var wg sync.WaitGroup
	for w := range 8 {
		wg.Go(func() {
			for i := range 500 {
				q.Observe(200+i%7, fmt.Sprint((w+i)%6), time.Millisecond)
			}
		})
	}
	wg.Wait()
	total := 0
	for k, v := range exposed(t, r) {
		if strings.HasPrefix(k, "http_server_request_duration_seconds_count{") {
			var n int
			if _, err := fmt.Sscan(v, &n); err != nil {
				t.Fatal(err)
			}
			total += n
		}
	}
	if total != 8*500 {
		t.Errorf("%d counted", total)
	}
}

func TestTwiceInOneRegistryIsAnErrorAndLeavesNothing(t *testing.T) {
	r := prometheus.NewPedanticRegistry()
	r.MustRegister(prometheus.NewGauge(prometheus.GaugeOpts{Name: "revision_queue_depth", Help: "in the way"}))
	c := queueConfig()
	c.Classic = true
	if _, err := NewQueueCollectors(r, c); err == nil {
		t.Fatal("registered over another metric")
	}
	c.Depth = nil
	if _, err := NewQueueCollectors(r, c); err != nil {
		t.Fatalf("what failed left something behind: %v", err)
	}
	if _, err := NewQueueCollectors(prometheus.NewRegistry(), QueueConfig{MaxTags: -1}); err == nil {
		t.Error("a negative bound is accepted")
	}
}

func TestActivatorCollectorsCurrentNames(t *testing.T) {
	r := prometheus.NewPedanticRegistry()
	up := true
	a, err := NewActivatorCollectors(r, ActivatorConfig{
		Connected: func() bool { return up }, ConnectionErrors: func() uint64 { return 3 },
	})
	if err != nil {
		t.Fatal(err)
	}
	v := a.Revision(RevisionLabels{"ns", "svc", "conf", "rev"})
	v.AddQueued(5)
	v.AddQueued(-2)
	v.AddActive(2)
	v.SetConcurrency(1.5)
	v.Observe(200, 20*time.Millisecond)
	short := `{k8s_namespace_name="ns",kn_revision_name="rev"}`
	expect(t, exposed(t, r), map[string]string{
		"kn_revision_request_queued" + short: "3",
		"kn_revision_request_active" + short: "2",
		`kn_revision_request_concurrency{k8s_namespace_name="ns",kn_configuration_name="conf",kn_revision_name="rev",kn_service_name="svc"}`:                                                        "1.5",
		`http_server_request_duration_seconds_count{http_response_status_code="200",k8s_namespace_name="ns",kn_configuration_name="conf",kn_revision_name="rev",kn_service_name="svc"}`:             "1",
		`http_server_request_duration_seconds_bucket{http_response_status_code="200",k8s_namespace_name="ns",kn_configuration_name="conf",kn_revision_name="rev",kn_service_name="svc",le="0.025"}`: "1",
		`kn_activator_stats_conn_reachable{peer="autoscaler"}`:    "1",
		`kn_activator_stats_conn_errors_total{peer="autoscaler"}`: "3",
		"# TYPE kn_activator_stats_conn_errors_total":             "counter",
	})
	up = false
	expect(t, exposed(t, r), map[string]string{`kn_activator_stats_conn_reachable{peer="autoscaler"}`: "0"})
}

func TestActivatorCollectorsClassicNames(t *testing.T) {
	r := prometheus.NewPedanticRegistry()
	a, err := NewActivatorCollectors(r, ActivatorConfig{Classic: true, Pod: "act"})
	if err != nil {
		t.Fatal(err)
	}
	v := a.Revision(RevisionLabels{"ns", "", "conf", "rev"})
	v.AddQueued(1) // these two have no classic name
	v.AddActive(1)
	v.SetConcurrency(2)
	v.Observe(502, 7*time.Millisecond)
	head := `{configuration_name="conf",container_name="activator",namespace_name="ns",pod_name="act",`
	code := head + `response_code="502",response_code_class="5xx",revision_name="rev",service_name="unknown"`
	got := exposed(t, r)
	expect(t, got, map[string]string{
		"activator_request_count" + code + "}":                                                 "1",
		"activator_request_latencies_bucket" + code + `,le="10"}`:                              "1",
		"activator_request_latencies_bucket" + code + `,le="5"}`:                               "0",
		"activator_request_concurrency" + head + `revision_name="rev",service_name="unknown"}`: "2",
	})
	a.Forget(RevisionKey{"ns", "rev"})
	if got := exposed(t, r); len(got) != 0 {
		t.Errorf("left after Forget: %v", got)
	}
}

func TestForgottenRevisionShowsNowhere(t *testing.T) {
	r := prometheus.NewPedanticRegistry()
	a, err := NewActivatorCollectors(r, ActivatorConfig{})
	if err != nil {
		t.Fatal(err)
	}
	keep := a.Revision(RevisionLabels{"ns", "svc", "conf", "keep"})
	gone := a.Revision(RevisionLabels{"ns", "svc", "conf", "gone"})
	if a.Revision(RevisionLabels{"ns", "svc", "conf", "gone"}) != gone {
		t.Error("a second handle of one revision")
	}
	for _, v := range []*RevisionCollectors{keep, gone} {
		v.Observe(200, time.Millisecond)
		v.Observe(404, time.Millisecond)
	}
	a.Forget(RevisionKey{"ns", "gone"})
	a.Forget(RevisionKey{"ns", "never was"})
	// A request that is still under way.
	gone.Observe(200, time.Millisecond)
	gone.Observe(500, time.Millisecond)
	gone.AddActive(-1)
	gone.SetConcurrency(1)
	got := exposed(t, r)
	for k := range got {
		if strings.Contains(k, `"gone"`) {
			t.Errorf("still there: %s", k)
		}
	}
	expect(t, got, map[string]string{
		`http_server_request_duration_seconds_count{http_response_status_code="404",k8s_namespace_name="ns",kn_configuration_name="conf",kn_revision_name="keep",kn_service_name="svc"}`: "1",
	})
	// Made again under the same name it starts from nothing.
	a.Revision(RevisionLabels{"ns", "svc", "conf", "gone"}).Observe(200, time.Millisecond)
	expect(t, exposed(t, r), map[string]string{
		`http_server_request_duration_seconds_count{http_response_status_code="200",k8s_namespace_name="ns",kn_configuration_name="conf",kn_revision_name="gone",kn_service_name="svc"}`: "1",
	})
}

func TestForgetUnderRace(t *testing.T) {
	r := prometheus.NewPedanticRegistry()
	a, err := NewActivatorCollectors(r, ActivatorConfig{})
	if err != nil {
		t.Fatal(err)
	}
	for i := range 200 {
		rev := fmt.Sprint("rev-", i)
		v := a.Revision(RevisionLabels{"ns", "svc", "conf", rev})
		var wg sync.WaitGroup
		for w := range 4 {
			wg.Go(func() { v.Observe(200+w, time.Millisecond); v.AddActive(1) })
		}
		wg.Go(func() { a.Forget(RevisionKey{"ns", rev}) })
		wg.Wait()
	}
	if got := exposed(t, r); len(got) != 0 {
		t.Errorf("%d series left", len(got))
	}
}

func TestProxyErrors(t *testing.T) {
	r := prometheus.NewPedanticRegistry()
	p, err := NewProxyErrors(r, "queue_full", "timeout_idle")
	if err != nil {
		t.Fatal(err)
	}
	p.Count("queue_full")
	p.Count("queue_full")
	for i := range 200 { // a mistake of the caller
		p.Count(fmt.Sprint("made-up-", i))
	}
	got := exposed(t, r)
	expect(t, got, map[string]string{
		"# TYPE sluice_proxy_errors_total":               "counter",
		`sluice_proxy_errors_total{reason="queue_full"}`: "2", `sluice_proxy_errors_total{reason="timeout_idle"}`: "0",
		`sluice_proxy_errors_total{reason="other"}`: fmt.Sprint(200 - (maxReasons - 2)),
	})
	if _, err := NewProxyErrors(r); err == nil {
		t.Error("registered twice")
	}
	if _, err := NewProxyErrors(prometheus.NewRegistry(), make([]string, maxReasons+1)...); err == nil {
		t.Error("too many reasons are accepted")
	}
}

func TestObservingDoesNotAllocate(t *testing.T) {
	q, _ := newQueue(t, queueConfig())
	c := queueConfig()
	c.Classic = true
	classic, _ := newQueue(t, c)
	a, err := NewActivatorCollectors(prometheus.NewRegistry(), ActivatorConfig{})
	if err != nil {
		t.Fatal(err)
	}
	v := a.Revision(RevisionLabels{"ns", "svc", "conf", "rev"})
	p, err := NewProxyErrors(prometheus.NewRegistry(), "queue_full")
	if err != nil {
		t.Fatal(err)
	}
	for name, f := range map[string]func(){
		"queue":     func() { q.Observe(200, "blue", time.Millisecond); q.ObserveApp(200, time.Millisecond) },
		"classic":   func() { classic.Observe(200, "blue", time.Millisecond); classic.ObserveApp(200, time.Millisecond) },
		"route tag": func() { q.Observe(200, q.RouteTag("blue", "false"), time.Millisecond) },
		"activator": func() {
			v.AddQueued(1)
			v.AddQueued(-1)
			v.AddActive(1)
			v.AddActive(-1)
			v.Observe(200, time.Millisecond)
		},
		"lookup": func() { a.Revision(RevisionLabels{"ns", "svc", "conf", "rev"}) },
		"errors": func() { p.Count("queue_full") },
	} {
		if n := testing.AllocsPerRun(1000, f); n != 0 {
			t.Errorf("%s: %v allocations", name, n)
		}
	}
}

func BenchmarkObserve(b *testing.B) {
	for _, classic := range []bool{false, true} {
		c := queueConfig()
		c.Classic = classic
		name := map[bool]string{false: "current", true: "classic"}[classic]
		b.Run("queue/"+name, func(b *testing.B) {
			q, _ := newQueue(b, c)
			b.ReportAllocs()
			for b.Loop() {
				q.Observe(200, "blue", 3*time.Millisecond)
			}
		})
		b.Run("queue-parallel/"+name, func(b *testing.B) {
			q, _ := newQueue(b, c)
			b.ReportAllocs()
			b.RunParallel(func(p *testing.PB) {
				for p.Next() {
					q.Observe(200, "blue", 3*time.Millisecond)
				}
			})
		})
	}
	b.Run("app", func(b *testing.B) {
		q, _ := newQueue(b, queueConfig())
		b.ReportAllocs()
		for b.Loop() {
			q.ObserveApp(200, 3*time.Millisecond)
		}
	})
	b.Run("activator", func(b *testing.B) {
		a, err := NewActivatorCollectors(prometheus.NewRegistry(), ActivatorConfig{})
		if err != nil {
			b.Fatal(err)
		}
		v := a.Revision(RevisionLabels{"ns", "svc", "conf", "rev"})
		b.ReportAllocs()
		for b.Loop() {
			v.Observe(200, 3*time.Millisecond)
		}
	})
	b.Run("error", func(b *testing.B) {
		p, err := NewProxyErrors(prometheus.NewRegistry(), "queue_full")
		if err != nil {
			b.Fatal(err)
		}
		b.ReportAllocs()
		for b.Loop() {
			p.Count("queue_full")
		}
	})
}
