package main

import (
	"context"
	"io"
	"net"
	"reflect"
	"strconv"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/sluice-proxy/sluice/activator"
	"github.com/sluice-proxy/sluice/internal/knative"
	"github.com/sluice-proxy/sluice/internal/observability"
	"github.com/sluice-proxy/sluice/internal/requestlog"
	"github.com/sluice-proxy/sluice/proxy"
	"go.uber.org/zap"
)

// observed is what config-observability turns on and off while the program runs. Its set is called by one goroutine.
type observed struct {
	o        options
	env      func(string) (string, bool)
	log      *zap.Logger
	registry *prometheus.Registry
	requests *requestlog.Log

	profiling atomic.Bool
	metrics   observability.Exporter // as it was set last
	page      *admin                 // nil: metrics are not served
	activator atomic.Pointer[activator.Activator]
}

func newObserved(o options, env func(string) (string, bool), stdout io.Writer, log *zap.Logger) (*observed, error) {
	ob := &observed{o: o, env: env, log: log, registry: newRegistry()}
	var err error
	ob.requests, err = requestlog.New(requestlog.Config{
		Out: stdout, Revision: ob.revision,
		Failed: func(err error) { log.Error("a line of the request log is lost", zap.Error(err)) },
	})
	return ob, err
}

// wrap puts what observes requests around the activator's policy.
func (ob *observed) wrap(p proxy.Policy) proxy.Policy { return ob.requests.Wrap(p) }

// revision names a request's revision in the request log. As in Knative there is no pod in it.
func (ob *observed) revision(req *proxy.Request) requestlog.Revision {
	a := ob.activator.Load()
	if a == nil {
		return requestlog.Revision{}
	}
	r, _ := a.RevisionOf(req)
	return requestlog.Revision{
		Name: r.ID.Name, Namespace: r.ID.Namespace, Service: r.Service, Configuration: r.Configuration,
	}
}

// set does what the ConfigMap says. What can't be used changes nothing.
func (ob *observed) set(data map[string]string) {
	c, err := observability.ParseMap(data, ob.env)
	if err != nil {
		ob.log.Error("observability stays as it is", zap.String("configmap", ob.o.observability), zap.Error(err))
		return
	}
	for _, line := range c.Ignored {
		ob.log.Warn(line)
	}
	// Knative's switch for probes is without effect here: they never get to its request log.
	if err := ob.requests.Set(c.RequestLog.Template, c.RequestLog.Enabled, false); err != nil {
		ob.log.Error("the request log stays as it is", zap.Error(err))
	}
	ob.profiling.Store(c.Profiling)
	if !reflect.DeepEqual(c.Metrics, ob.metrics) {
		ob.metrics = c.Metrics
		ob.export()
	}
}

// export begins with ob.metrics, after the end of what was exported before.
func (ob *observed) export() {
	ob.stop()
	if ob.metrics.Protocol != observability.Prometheus {
		return
	}
	addr := ob.metrics.Endpoint
	if addr == "" {
		addr = net.JoinHostPort(ob.o.bind, strconv.Itoa(knative.PortActivator))
	}
	var err error
	if ob.page, err = openAdmin("metrics", addr, metricsPage(ob.registry), ob.log); err != nil {
		ob.log.Error("metrics are not served", zap.Error(err))
	}
}

func (ob *observed) stop() {
	if ob.page != nil {
		_ = ob.page.close()
		ob.page = nil
	}
}

// close ends everything, and writes what is buffered, for a while. It comes after the last set.
func (ob *observed) close() {
	ob.stop()
	ctx, cancel := context.WithTimeout(context.Background(), 2*time.Second)
	defer cancel()
	_ = ob.requests.Close(ctx)
}
