package queueproxy

import (
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/prometheus/client_golang/prometheus"
	dto "github.com/prometheus/client_model/go"

	"github.com/sluice-proxy/sluice/internal/contracttest"
	"github.com/sluice-proxy/sluice/internal/knative"
)

// gathered has pods serve one request each and returns what they count, by name.
func gathered(t *testing.T, kind RequestMetrics, edit func(*Config)) map[string]*dto.MetricFamily {
	t.Helper()
	r := prometheus.NewRegistry()
	p := startPod(t, startApp(t, http.HandlerFunc(ok)), func(c *Config) {
		c.RequestMetrics, c.Registry, c.ContainerConcurrency = kind, r, 10
		if edit != nil {
			edit(c)
		}
	})
	p.get("/")
	eventually(t, "the request has ended, which is after its answer", func() bool { return p.handler.InFlight() == 0 })
	families, err := r.Gather()
	if err != nil {
		t.Fatal(err)
	}
	all := map[string]*dto.MetricFamily{}
	for _, f := range families {
		all[f.GetName()] = f
	}
	return all
}

func labelsOf(m *dto.Metric) string {
	var all []string
	for _, l := range m.GetLabel() {
		all = append(all, l.GetName()+"="+l.GetValue())
	}
	slices.Sort(all)
	return strings.Join(all, " ")
}

func bucketsOf(m *dto.Metric) (all []float64) {
	for _, b := range m.GetHistogram().GetBucket() {
		all = append(all, b.GetUpperBound())
	}
	return all
}

var (
	seconds = []float64{0.005, 0.01, 0.025, 0.05, 0.075, 0.1, 0.25, 0.5, 0.75, 1, 2.5, 5, 7.5, 10}
	millis  = []float64{
		5, 10, 20, 40, 60, 80, 100, 150, 200, 250, 300, 350, 400, 450, 500, 600, 700, 800, 900, 1000,
		2000, 5000, 10000, 20000, 50000, 100000,
	}
)

func TestContractMetricNames(t *testing.T) {
	const (
		fixed = "configuration_name=hello container_name=queue-proxy namespace_name=default pod_name=hello-00001-abc "
		rest  = "response_code=200 response_code_class=2xx revision_name=hello-00001 "
	)
	type series struct {
		kind    dto.MetricType
		labels  string
		buckets []float64
	}
	for _, set := range []struct {
		name string
		kind RequestMetrics
		want map[string]series
	}{
		{"current", MetricsPrometheus, map[string]series{
			"kn_serving_invocation_duration_seconds": {dto.MetricType_HISTOGRAM, "http_response_status_code=200", seconds},
			"kn_serving_queue_depth":                 {dto.MetricType_GAUGE, "", nil},
			"http_server_request_duration_seconds":   {dto.MetricType_HISTOGRAM, "http_response_status_code=200 kn_route_tag=kn:disabled", seconds},
			"target_info": {dto.MetricType_GAUGE, "k8s_namespace_name=default k8s_pod_name=host " +
				"kn_configuration_name=hello kn_revision_name=hello-00001 kn_service_name=hello", nil},
		}},
		{"classic", MetricsClassic, map[string]series{
			"revision_request_count":         {dto.MetricType_COUNTER, fixed + rest + "route_tag=DISABLED service_name=hello", nil},
			"revision_request_latencies":     {dto.MetricType_HISTOGRAM, fixed + rest + "route_tag=DISABLED service_name=hello", millis},
			"revision_app_request_count":     {dto.MetricType_COUNTER, fixed + rest + "service_name=hello", nil},
			"revision_app_request_latencies": {dto.MetricType_HISTOGRAM, fixed + rest + "service_name=hello", millis},
			"revision_queue_depth":           {dto.MetricType_GAUGE, fixed + "revision_name=hello-00001 service_name=hello", nil},
		}},
	} {
		t.Run(set.name, func(t *testing.T) {
			got := gathered(t, set.kind, func(c *Config) { c.Identity.Host = "host" })
			for name, want := range set.want {
				f := got[name]
				if f == nil {
					t.Errorf("no %s in %v", name, slices.Sorted(maps.Keys(got)))
					continue
				}
				m := f.GetMetric()[0]
				if f.GetType() != want.kind || labelsOf(m) != want.labels || !slices.Equal(bucketsOf(m), want.buckets) {
					t.Errorf("%s: %v {%s} %v", name, f.GetType(), labelsOf(m), bucketsOf(m))
				}
				delete(got, name)
			}
			for name := range got {
				if !strings.HasPrefix(name, "sluice_") {
					t.Errorf("%s is not in the contract", name)
				}
			}
		})
	}
	contracttest.Follow(t, []contracttest.Rule{
		{Says: "no depth without a limit", Test: func(t *testing.T) {
			got := gathered(t, MetricsPrometheus, func(c *Config) { c.ContainerConcurrency = 0 })
			if _, ok := got["kn_serving_queue_depth"]; ok {
				t.Error("there is one")
			}
		}},
		{Says: "service_name is unknown when there is none", Test: func(t *testing.T) {
			got := gathered(t, MetricsClassic, func(c *Config) { c.Identity.Service = "" })
			contains(t, labelsOf(got["revision_request_count"].GetMetric()[0]), "service_name=unknown")
		}},
		{Says: "the route's tag", Test: func(t *testing.T) {
			for _, row := range []struct{ tag, defaultRoute, current, classic string }{
				{"", "", "kn:disabled", "DISABLED"},
				{"", "true", "kn:default", "DEFAULT"},
				{"blue", "true", "kn:undefined", "UNDEFINED"},
				{"blue", "", "blue", "blue"},
				{"blue", "false", "blue", "blue"},
			} {
				for kind, want := range map[RequestMetrics]string{MetricsPrometheus: "kn_route_tag=" + row.current, MetricsClassic: "route_tag=" + row.classic} {
					r := prometheus.NewRegistry()
					p := startPod(t, startApp(t, http.HandlerFunc(ok)), func(c *Config) { c.RequestMetrics, c.Registry = kind, r })
					var fields []string
					if row.tag != "" {
						fields = append(fields, knative.HeaderTag, row.tag)
					}
					if row.defaultRoute != "" {
						fields = append(fields, knative.HeaderDefaultRoute, row.defaultRoute)
					}
					p.get("/", fields...)
					eventually(t, fmt.Sprintf("%+v: %s", row, want), func() bool {
						families, err := r.Gather()
						if err != nil {
							t.Fatal(err)
						}
						return slices.ContainsFunc(families, func(f *dto.MetricFamily) bool {
							return slices.ContainsFunc(f.GetMetric(), func(m *dto.Metric) bool { return strings.Contains(labelsOf(m), want) })
						})
					})
				}
			}
		}},
	})
}
