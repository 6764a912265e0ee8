package metrics

import (
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

type currentVecs struct {
	queued, active, concurrency *prometheus.GaugeVec
	durations                   *prometheus.HistogramVec
	connection                  []prometheus.Collector
}

func newCurrentVecs(c ActivatorConfig) *currentVecs {
	short := []string{labelNamespace, labelRevision}
	long := []string{labelService, labelConfiguration, labelRevision, labelNamespace}
	return &currentVecs{
		queued: prometheus.NewGaugeVec(prometheus.GaugeOpts{
			Name: "kn_revision_request_queued", Help: "Requests that wait for a pod.",
		}, short),
		active: prometheus.NewGaugeVec(prometheus.GaugeOpts{
			Name: "kn_revision_request_active", Help: "Requests that a pod is working on.",
		}, short),
		concurrency: prometheus.NewGaugeVec(prometheus.GaugeOpts{
			Name: "kn_revision_request_concurrency", Help: "Requests in flight, averaged over the last second.",
		}, long),
		durations: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name:    "http_server_request_duration_seconds",
			Help:    "Time from the arrival of a request to the end of its response, waiting included.",
			Buckets: secondsBuckets(),
		}, append(long, labelStatus)),
		connection: connectionCollectors(c),
	}
}

func connectionCollectors(c ActivatorConfig) (all []prometheus.Collector) {
	peer := prometheus.Labels{"peer": "autoscaler"}
	if c.Connected != nil {
		all = append(all, prometheus.NewGaugeFunc(prometheus.GaugeOpts{
			Name: "kn_activator_stats_conn_reachable", Help: "1 while the connection to the peer is up.", ConstLabels: peer,
		}, func() float64 {
			if c.Connected() {
				return 1
			}
			return 0
		}))
	}
	if c.ConnectionErrors != nil {
		all = append(all, prometheus.NewCounterFunc(prometheus.CounterOpts{
			Name: "kn_activator_stats_conn_errors_total", Help: "Failed attempts to connect and broken connections.", ConstLabels: peer,
		}, func() float64 { return float64(c.ConnectionErrors()) }))
	}
	return all
}

func (v *currentVecs) collectors() []prometheus.Collector {
	return append([]prometheus.Collector{v.queued, v.active, v.concurrency, v.durations}, v.connection...)
}

func (l RevisionLabels) current() []string {
	return []string{l.Service, l.Configuration, l.Revision, l.Namespace}
}

func (v *currentVecs) gauges(l RevisionLabels) (queued, active, concurrency prometheus.Gauge) {
	return v.queued.WithLabelValues(l.Namespace, l.Revision),
		v.active.WithLabelValues(l.Namespace, l.Revision),
		v.concurrency.WithLabelValues(l.current()...)
}

func (v *currentVecs) series(l RevisionLabels, status int) *series {
	code, _ := statusLabel(status)
	return &series{durations: v.durations.WithLabelValues(append(l.current(), code)...), unit: time.Second}
}

func (v *currentVecs) forget(l RevisionLabels, statuses []statusSeries) {
	v.queued.DeleteLabelValues(l.Namespace, l.Revision)
	v.active.DeleteLabelValues(l.Namespace, l.Revision)
	v.concurrency.DeleteLabelValues(l.current()...)
	for _, s := range statuses {
		code, _ := statusLabel(s.status)
		v.durations.DeleteLabelValues(append(l.current(), code)...)
	}
}

// classicVecs has no gauges of queued and active requests: those came with the current names.
type classicVecs struct {
	requests    classicPair
	concurrency *prometheus.GaugeVec
}

func newClassicVecs(pod string) *classicVecs {
	names := []string{"namespace_name", "service_name", "configuration_name", "revision_name"}
	fixed := classicLabels("activator", pod)
	return &classicVecs{
		requests: newClassicPair("activator_request", fixed, names...),
		concurrency: prometheus.NewGaugeVec(prometheus.GaugeOpts{
			Name: "activator_request_concurrency", Help: "Requests in flight, averaged over the last second.", ConstLabels: fixed,
		}, names),
	}
}

func (v *classicVecs) collectors() []prometheus.Collector {
	return []prometheus.Collector{v.requests.count, v.requests.latencies, v.concurrency}
}

func (l RevisionLabels) classic() []string {
	return []string{l.Namespace, classicService(l.Service), l.Configuration, l.Revision}
}

func (v *classicVecs) gauges(l RevisionLabels) (queued, active, concurrency prometheus.Gauge) {
	unseen := func() prometheus.Gauge { return prometheus.NewGauge(prometheus.GaugeOpts{Name: "unseen"}) }
	return unseen(), unseen(), v.concurrency.WithLabelValues(l.classic()...)
}

func (v *classicVecs) series(l RevisionLabels, status int) *series {
	return v.requests.series(status, l.classic()...)
}

func (v *classicVecs) forget(l RevisionLabels, statuses []statusSeries) {
	v.concurrency.DeleteLabelValues(l.classic()...)
	for _, s := range statuses {
		v.requests.forget(s.status, l.classic()...)
	}
}
