package queueproxy

import (
	"cmp"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/sluice-proxy/sluice/internal/knative"
	"github.com/sluice-proxy/sluice/metrics"
	"github.com/sluice-proxy/sluice/proxy"
)

// collectors are the metrics for Prometheus.
type collectors struct {
	requests    *metrics.QueueCollectors
	errors      *metrics.ProxyErrors
	rejected    *metrics.RejectedConnections
	unavailable *metrics.Unavailable
	registry    *prometheus.Registry
}

// newCollectors registers the collectors; nil when request metrics are off. depth is nil without a limit.
func newCollectors(c Config, depth func() int, budgets func() []metrics.Budget) (*collectors, error) {
	if c.RequestMetrics == MetricsOff {
		return nil, nil
	}
	pod := c.Identity.Host
	if c.RequestMetrics == MetricsClassic {
		pod = c.Identity.Pod
	}
	k := &collectors{registry: cmp.Or(c.Registry, prometheus.NewRegistry())}
	var err error
	k.requests, err = metrics.NewQueueCollectors(k.registry, metrics.QueueConfig{
		Classic:   c.RequestMetrics == MetricsClassic,
		Namespace: c.Identity.Namespace, Service: c.Identity.Service, Configuration: c.Identity.Configuration,
		Revision: c.Identity.Revision, Pod: pod,
		Depth: depth,
	})
	if err != nil {
		return nil, err
	}
	if k.errors, err = metrics.NewProxyErrors(k.registry, metrics.Names(proxy.Reasons())...); err != nil {
		return nil, err
	}
	if k.rejected, err = metrics.NewRejectedConnections(k.registry, metrics.Names(proxy.Rejections())...); err != nil {
		return nil, err
	}
	if k.unavailable, err = metrics.NewUnavailable(k.registry, c.Identity.Namespace, c.Identity.Revision); err != nil {
		return nil, err
	}
	return k, metrics.NewBudgets(k.registry, budgets)
}

// countUnavailable returns the counter of why the app can't serve; nil when metrics are off.
func (k *collectors) countUnavailable() func(cause) {
	if k == nil {
		return nil
	}
	return func(c cause) { k.unavailable.Count(string(c)) }
}

// countRejected returns the counter of rejected connections; nil when metrics are off.
func (k *collectors) countRejected() func(proxy.Rejection) {
	if k == nil {
		return nil
	}
	return func(r proxy.Rejection) { k.rejected.Count(r.String()) }
}

// count counts a request that has ended. A spilled-over request without a slot counts as an error only: the activator
// sends it to another pod, which counts it.
func (k *collectors) count(e *exchange, req *proxy.Request, r proxy.Result) {
	if r.Reason != proxy.ReasonNone {
		k.errors.Count(r.Reason.String())
	}
	if r.Reason == proxy.Busy {
		return
	}
	tag := k.requests.RouteTag(req.Header.Get(knative.HeaderTag), req.Header.Get(knative.HeaderDefaultRoute))
	k.requests.Observe(r.Status, tag, r.Total)
	if e.reached {
		k.requests.ObserveApp(r.Status, e.appSpent)
	}
}
