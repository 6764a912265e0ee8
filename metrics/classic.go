package metrics

import (
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// classicPair is a counter and a histogram of milliseconds with the same
// labels. The counter's name does not end in _total, as the contract says; the
// OpenMetrics format, which requires it, adds it.
type classicPair struct {
	count     *prometheus.CounterVec
	latencies *prometheus.HistogramVec
}

// newClassicPair names them prefix_count and prefix_latencies. Their labels
// are extra, in that order, then the code and its class.
func newClassicPair(prefix string, fixed prometheus.Labels, extra ...string) classicPair {
	names := append(append([]string(nil), extra...), "response_code", "response_code_class")
	return classicPair{
		count: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: prefix + "_count", Help: "Requests answered.", ConstLabels: fixed,
		}, names),
		latencies: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name: prefix + "_latencies", Help: "Response times in milliseconds.", ConstLabels: fixed,
			Buckets: millisBuckets(),
		}, names),
	}
}

func (p classicPair) values(status int, extra []string) []string {
	code, class := statusLabel(status)
	return append(append([]string(nil), extra...), code, class)
}

func (p classicPair) series(status int, extra ...string) *series {
	v := p.values(status, extra)
	return &series{durations: p.latencies.WithLabelValues(v...), count: p.count.WithLabelValues(v...), unit: time.Millisecond}
}

func (p classicPair) forget(status int, extra ...string) {
	v := p.values(status, extra)
	p.count.DeleteLabelValues(v...)
	p.latencies.DeleteLabelValues(v...)
}

func classicLabels(container, pod string) prometheus.Labels {
	return prometheus.Labels{"container_name": container, "pod_name": pod}
}

func classicService(name string) string {
	if name == "" {
		return "unknown"
	}
	return name
}
