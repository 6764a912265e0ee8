package queueproxy

import (
	"strings"
	"testing"

	"github.com/sluice-proxy/sluice/internal/knative"
)

// What is sent elsewhere has its reason in the metrics of errors; only what spilled over is not counted as a request: it
// will be where it is processed.
func TestWhatGoesElsewhereHasItsReason(t *testing.T) {
	p, letGo := full(t, 1, func(c *Config) { c.RequestMetrics = MetricsPrometheus })
	defer letGo()
	for _, grpc := range []string{"", "application/grpc"} {
		p.get("/", knative.HeaderProxyRequest, knative.ProxyActivator, "Content-Type", grpc)
		p.get("/", knative.HeaderProxyRequest, knative.ProxyActivator, knative.HeaderNoQueue, "1", "Content-Type", grpc)
	}
	for _, want := range []string{
		`sluice_proxy_errors_total{reason="queue_full"} 2`,
		`sluice_proxy_errors_total{reason="busy"} 2`,
		`http_server_request_duration_seconds_count{http_response_status_code="503",kn_route_tag="kn:disabled"} 1`,
		`http_server_request_duration_seconds_count{http_response_status_code="200",kn_route_tag="kn:disabled"} 1`, // gRPC's
	} {
		eventually(t, want, func() bool { return strings.Contains(p.at(p.Addrs().Metrics, "/metrics").body, want) })
	}
}
