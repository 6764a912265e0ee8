package metrics

import "github.com/prometheus/client_golang/prometheus"

// NewTargetInfo returns target_info, which says what the metrics of a target belong to, in OpenTelemetry's names or
// Prometheus's.
func NewTargetInfo(resource map[string]string) prometheus.Collector {
	labels := prometheus.Labels{}
	for name, value := range resource {
		labels[underscored(name)] = value
	}
	g := prometheus.NewGauge(prometheus.GaugeOpts{
		Name: "target_info", Help: "What the metrics of this target belong to.", ConstLabels: labels,
	})
	g.Set(1)
	return g
}

// underscored makes an OpenTelemetry name one of Prometheus's
// (https://opentelemetry.io/docs/specs/otel/compatibility/prometheus_and_openmetrics/).
func underscored(name string) string {
	out := []byte(name)
	for i, c := range out {
		if !('a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' || '0' <= c && c <= '9' && i > 0) {
			out[i] = '_'
		}
	}
	return string(out)
}
