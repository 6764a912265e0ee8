package queueproxy

import (
	"cmp"
	"net/http"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promhttp"

	"github.com/sluice-proxy/sluice/internal/knative"
	"github.com/sluice-proxy/sluice/internal/rejected"
	"github.com/sluice-proxy/sluice/metrics"
	"github.com/sluice-proxy/sluice/proxy"
)

// collectors are what Prometheus gets to see.
type collectors struct {
	requests *metrics.QueueCollectors
	errors   *metrics.ProxyErrors
	refused  *metrics.Refused
	ailing   *metrics.Unavailable
	registry *prometheus.Registry
}

// newCollectors registers them; nil when they are off. depth is nil without a limit.
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
	var reasons []string
	for _, r := range proxy.Reasons() {
		reasons = append(reasons, r.String())
	}
	if k.errors, err = metrics.NewProxyErrors(k.registry, reasons...); err != nil {
		return nil, err
	}
	if k.refused, err = metrics.NewRefused(k.registry); err != nil {
		return nil, err
	}
	if k.ailing, err = metrics.NewUnavailable(k.registry, c.Identity.Namespace, c.Identity.Revision); err != nil {
		return nil, err
	}
	return k, metrics.NewBudgets(k.registry, budgets)
}

// ofUnavailable counts what the app is not there for; nil when nothing is counted.
func (k *collectors) ofUnavailable() func(cause) {
	if k == nil {
		return nil
	}
	return func(c cause) { k.ailing.Count(string(c)) }
}

// ofRefused counts what is no request; nil when nothing is counted.
func (k *collectors) ofRefused() rejected.Counter {
	if k == nil {
		return nil
	}
	return k.refused
}

// count counts a request that has ended. One that was refused for lack of a slot goes elsewhere and is counted there,
// here it is an error alone.
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

// handler answers Prometheus.
func (k *collectors) handler() http.Handler {
	return promhttp.HandlerFor(k.registry, promhttp.HandlerOpts{})
}
