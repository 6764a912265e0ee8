package sidecar

import (
	"io"

	"go.uber.org/zap"

	"github.com/sluice-proxy/sluice/internal/requestlog"
	"github.com/sluice-proxy/sluice/internal/telemetry"
	"github.com/sluice-proxy/sluice/proxy"
	"github.com/sluice-proxy/sluice/queueproxy"
)

// newTelemetry makes the telemetry of a pod with the metrics in c.Registry; all of it is off.
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
