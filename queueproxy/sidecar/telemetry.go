package sidecar

import (
	"cmp"
	"io"
	"maps"

	"go.uber.org/zap"

	"github.com/sluice-proxy/sluice/internal/observability"
	"github.com/sluice-proxy/sluice/internal/requestlog"
	"github.com/sluice-proxy/sluice/internal/telemetry"
	"github.com/sluice-proxy/sluice/proxy"
	"github.com/sluice-proxy/sluice/queueproxy"
)

// newTelemetry is that of the pod of c, whose metrics are in c.Registry; it is off.
func newTelemetry(o observed, c queueproxy.Config, out io.Writer, log *zap.Logger) (*telemetry.Telemetry, error) {
	id := c.Identity
	revision := requestlog.Revision{
		Name: id.Revision, Namespace: id.Namespace, Service: id.Service, Configuration: id.Configuration,
		PodName: id.Pod, PodIP: id.PodIP,
	}
	return telemetry.New(telemetry.Config{
		Span: "queue", Wait: "kn.queueproxy.wait", // Knative's names
		Resource:  o.resource(id),
		Revision:  func(*proxy.Request) requestlog.Revision { return revision },
		Probe:     func(req *proxy.Request) bool { return queueproxy.IsProbe(req.Header) },
		Out:       out,
		Registry:  c.Registry,
		FlushTime: queueproxy.FlushTime,
		Log:       log,
	})
}

// wraps reports whether requests are to be logged or traced.
func (o *observed) wraps() bool {
	return o.RequestLog.Enabled || o.Tracing.Protocol != observability.None
}

// turnOn has t do what is to be done. What can't be is logged and left out: it comes from a configuration of the whole
// cluster, whose pods should start all the same.
func (o *observed) turnOn(t *telemetry.Telemetry, log *zap.Logger) {
	without := func(what string, err error) {
		if err != nil {
			log.Error("served without "+what, zap.Error(err))
		}
	}
	without("a request log", t.SetRequestLog(o.RequestLog))
	without("request metrics", t.SetMetrics(o.RequestMetrics))
	without("traces", t.SetTraces(o.Tracing))
}

// resource says what metrics and traces belong to, in the names of OpenTelemetry and of Knative.
func (o *observed) resource(id queueproxy.Identity) map[string]string {
	host := cmp.Or(id.Host, id.Pod)
	r := maps.Clone(o.Resource)
	if r == nil {
		r = make(map[string]string)
	}
	for name, value := range map[string]string{
		"service.name":          cmp.Or(o.ServiceName, id.Service, id.Configuration, id.Revision),
		"service.instance.id":   host,
		"k8s.container.name":    "queue-proxy",
		"k8s.namespace.name":    id.Namespace,
		"k8s.pod.name":          host,
		"kn.service.name":       id.Service,
		"kn.configuration.name": id.Configuration,
		"kn.revision.name":      id.Revision,
	} {
		if value != "" {
			r[name] = value
		}
	}
	return r
}
