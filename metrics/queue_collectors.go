package metrics

import (
	"fmt"
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// QueueConfig describes a pod to its collectors.
type QueueConfig struct {
	// Classic selects the names in use up to Knative 1.18 instead of the
	// current ones.
	Classic bool
	// What the labels say. Service may be empty (no Knative Service).
	Namespace, Service, Configuration, Revision, Pod string
	// Depth is read at each scrape: requests executing and waiting. Nil, as
	// it is without a concurrency limit: no such metric.
	Depth func() int
	// MaxTags bounds the distinct route tags, which clients can choose; those
	// beyond it count as undefined. Default 50.
	MaxTags int
}

// Validate reports the first field that can't be used.
func (c QueueConfig) Validate() error {
	if c.MaxTags < 0 {
		return fmt.Errorf("metrics: QueueConfig.MaxTags %d is negative", c.MaxTags)
	}
	return nil
}

// A tag is the first label of a host name: RFC 1035 §2.3.4.
const maxTagLen = 63

// QueueCollectors are a queue-proxy's request metrics. Methods may be called
// concurrently and don't block; for a tag and status seen before they don't
// allocate.
type QueueCollectors struct {
	tags    tagForm
	byTag   bounded[taggedSeries]
	app     byStatus
	newApp  func(status int) *series
	ofRoute func(tag string, status int) *series
}

type taggedSeries struct {
	byStatus
	make func(status int) *series
}

// NewQueueCollectors registers the collectors with r.
func NewQueueCollectors(r prometheus.Registerer, c QueueConfig) (*QueueCollectors, error) {
	if err := c.Validate(); err != nil {
		return nil, err
	}
	if c.MaxTags == 0 {
		c.MaxTags = 50
	}
	q := &QueueCollectors{tags: currentTags()}
	build := q.current
	if c.Classic {
		q.tags, build = classicTags(), q.classic
	}
	if err := register(r, build(c)...); err != nil {
		return nil, fmt.Errorf("metrics: %w", err)
	}
	newTag := func(tag string) *taggedSeries {
		return &taggedSeries{make: func(status int) *series { return q.ofRoute(tag, status) }}
	}
	// The three values that no client chooses don't count towards MaxTags.
	q.byTag = bounded[taggedSeries]{max: c.MaxTags + 3, maxLen: maxTagLen, make: newTag}
	q.byTag.overflow = newTag(q.tags.undefined)
	fixed := map[string]*taggedSeries{
		q.tags.disabled:  newTag(q.tags.disabled),
		q.tags.normal:    newTag(q.tags.normal),
		q.tags.undefined: q.byTag.overflow,
	}
	q.byTag.all.Store(&fixed)
	return q, nil
}

// RouteTag maps the values of Knative-Serving-Tag and Knative-Serving-Default-Route, empty when absent, to the tag that
// Observe counts by.
func (q *QueueCollectors) RouteTag(tag, defaultRoute string) string {
	return q.tags.of(tag, defaultRoute)
}

// Observe counts a request that was answered with status and took d from its
// arrival, waiting included. Tag is what RouteTag returned. A number that is no
// HTTP status is counted as 0.
func (q *QueueCollectors) Observe(status int, tag string, d time.Duration) {
	t := q.byTag.get(tag)
	t.get(knownStatus(status), t.make).observe(d)
}

// ObserveApp counts a request that reached the app, which answered with status
// and took d, waiting excluded.
func (q *QueueCollectors) ObserveApp(status int, d time.Duration) {
	q.app.get(knownStatus(status), q.newApp).observe(d)
}

func (q *QueueCollectors) current(c QueueConfig) []prometheus.Collector {
	requests := prometheus.NewHistogramVec(prometheus.HistogramOpts{
		Name:    "http_server_request_duration_seconds",
		Help:    "Time from the arrival of a request to the end of its response, waiting included.",
		Buckets: secondsBuckets(),
	}, []string{labelRouteTag, labelStatus})
	invocations := prometheus.NewHistogramVec(prometheus.HistogramOpts{
		Name:    "kn_serving_invocation_duration_seconds",
		Help:    "Time that the app took for a request.",
		Buckets: secondsBuckets(),
	}, []string{labelStatus})
	q.ofRoute = func(tag string, status int) *series {
		code, _ := statusLabel(status)
		return &series{durations: requests.WithLabelValues(tag, code), unit: time.Second}
	}
	q.newApp = func(status int) *series {
		code, _ := statusLabel(status)
		return &series{durations: invocations.WithLabelValues(code), unit: time.Second}
	}
	info := NewTargetInfo(map[string]string{
		labelService: c.Service, labelConfiguration: c.Configuration, labelRevision: c.Revision,
		labelNamespace: c.Namespace, labelPod: c.Pod,
	})
	return append([]prometheus.Collector{requests, invocations, info},
		depth(c, "kn_serving_queue_depth", nil)...)
}

func (q *QueueCollectors) classic(c QueueConfig) []prometheus.Collector {
	labels := classicLabels("queue-proxy", c.Pod)
	labels["namespace_name"], labels["service_name"] = c.Namespace, classicService(c.Service)
	labels["configuration_name"], labels["revision_name"] = c.Configuration, c.Revision
	requests := newClassicPair("revision_request", labels, "route_tag")
	app := newClassicPair("revision_app_request", labels)
	q.ofRoute = func(tag string, status int) *series { return requests.series(status, tag) }
	q.newApp = func(status int) *series { return app.series(status) }
	return append([]prometheus.Collector{requests.count, requests.latencies, app.count, app.latencies},
		depth(c, "revision_queue_depth", labels)...)
}

func depth(c QueueConfig, name string, labels prometheus.Labels) []prometheus.Collector {
	if c.Depth == nil {
		return nil
	}
	return []prometheus.Collector{prometheus.NewGaugeFunc(prometheus.GaugeOpts{
		Name:        name,
		Help:        "Requests that execute or wait.",
		ConstLabels: labels,
	}, func() float64 { return float64(c.Depth()) })}
}
