package main

import (
	"context"
	"net"
	"strconv"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/sluice-proxy/sluice/internal/knative"
	"github.com/sluice-proxy/sluice/internal/observability"
	"github.com/sluice-proxy/sluice/internal/program"
	"github.com/sluice-proxy/sluice/metrics/otlp"
	"go.uber.org/zap"
)

// export is the way in which metrics leave: a page for Prometheus, or pushes to a collector.
type export struct{ close func() }

// none is the export of nothing.
func none() export { return export{close: func() {}} }

// startExport begins one. The process goes on without metrics when it can't.
func (ob *observed) startExport(e observability.Exporter) (_ export, started bool) {
	var x export
	var err error
	switch {
	case e.Protocol == observability.Prometheus:
		x, err = ob.page(e)
	case e.OTLP():
		x, err = ob.push(e)
	default:
		return none(), true
	}
	if err != nil {
		ob.log.Error("metrics are not exported", zap.Error(err))
		return none(), false
	}
	return x, true
}

func (ob *observed) page(e observability.Exporter) (export, error) {
	addr := e.Endpoint
	if addr == "" {
		addr = net.JoinHostPort(ob.o.bind, strconv.Itoa(knative.PortActivator))
	}
	a, err := openAdmin("metrics", addr, metricsPage(ob.registry), ob.log)
	if err != nil {
		return none(), err
	}
	return export{close: func() { _ = a.close() }}, nil
}

func (ob *observed) push(e observability.Exporter) (export, error) {
	to := program.Collector(e, ob.resource)
	to.Gatherer, to.Failed = ob.registry, program.Failing(ob.log, "metrics")
	m, err := otlp.NewMetrics(to)
	if err != nil {
		return none(), err
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{})
	go func() {
		defer close(done)
		_ = m.Run(ctx)
	}()
	ob.log.Info("metrics are pushed", zap.String("to", e.Endpoint))
	return export{close: func() { cancel(); <-done }}, nil
}

// resourceOf says what the metrics and traces belong to, by OpenTelemetry's names; its variables win.
func resourceOf(o options, c observability.Config) map[string]string {
	r := map[string]string{
		"service.name": defaultActivator, "service.version": program.Version(),
		"k8s.namespace.name": o.namespace, "k8s.pod.name": o.podName,
	}
	for name, value := range c.Resource {
		r[name] = value
	}
	if c.ServiceName != "" {
		r["service.name"] = c.ServiceName
	}
	return r
}

// targetInfo is the same for Prometheus.
func targetInfo(resource map[string]string) prometheus.Collector {
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
