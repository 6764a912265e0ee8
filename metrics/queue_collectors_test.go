package metrics

import (
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

func TestRouteTag(t *testing.T) {
	for _, c := range []struct{ tag, defaultRoute, current, classic string }{
		{"", "", "kn:disabled", "DISABLED"},
		{"", "true", "kn:default", "DEFAULT"},
		{"", "false", "kn:default", "DEFAULT"},
		{"blue", "true", "kn:undefined", "UNDEFINED"},
		{"blue", "false", "blue", "blue"},
		{"blue", "", "blue", "blue"},
	} {
		if got := currentTags().of(c.tag, c.defaultRoute); got != c.current {
			t.Errorf("current tag of (%q, %q) = %q, want %q", c.tag, c.defaultRoute, got, c.current)
		}
		if got := classicTags().of(c.tag, c.defaultRoute); got != c.classic {
			t.Errorf("classic tag of (%q, %q) = %q, want %q", c.tag, c.defaultRoute, got, c.classic)
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
	if n := len(*q.byTag.all.Load()); n != 3+3 { // three are no client's
		t.Errorf("%d tags", n)
	}
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
