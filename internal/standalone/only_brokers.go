package standalone

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"net"
	"net/http"
	"net/url"
	"slices"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/common/expfmt"
	"go.uber.org/zap"

	"github.com/sluice-proxy/sluice/broker"
	"github.com/sluice-proxy/sluice/internal/knative"
	"github.com/sluice-proxy/sluice/internal/limits"
	"github.com/sluice-proxy/sluice/internal/observability"
	"github.com/sluice-proxy/sluice/internal/standalone/ingress"
	"github.com/sluice-proxy/sluice/internal/standalone/manifest"
)

// OnlyBrokers are the Brokers and Triggers of manifests, without Services.
type OnlyBrokers struct {
	Manifests manifest.Input
	// Dir is the directory of events.
	Dir string
	// Limits has those of events; 0: 1 MiB of an event, and no bound of what is kept.
	Limits limits.Limits
	// Listener gets events, POST /NAMESPACE/BROKER, and serves GET /metrics. Run closes it.
	Listener net.Listener
	Log      *zap.Logger
	// Observability says where spans go. The zero value: nowhere.
	Observability observability.Config
	// Line shows what runs.
	Line func(string)
}

// Run runs the brokers until ctx ends. Its error says which field of a manifest is wrong, or that something failed at the start.
func (o OnlyBrokers) Run(ctx context.Context) (err error) {
	defer o.Listener.Close()
	wanted, err := o.load()
	if err != nil {
		return err
	}
	tracer, err := newTracer(o.Observability, "sluice-broker", o.Log)
	if err != nil {
		return err
	}
	tracing, cancel := context.WithCancel(context.WithoutCancel(ctx)) // until the last delivery has ended
	traced := make(chan error, 1)
	go func() { traced <- tracer.Run(tracing) }()
	defer func() {
		cancel()
		err = errors.Join(err, <-traced)
	}()
	registry := prometheus.NewRegistry()
	c := brokerConfig(o.Limits)
	c.Dir, c.Transport, c.Registerer, c.Tracer, c.Logger = o.Dir, o.transport(), registry, eventTracer{tracer}, o.Log
	s, err := broker.Open(c)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, s.Close()) }()
	running := runningBrokers{server: s, set: map[manifest.EventingKey]any{}}
	for _, key := range slices.SortedFunc(maps.Keys(wanted), compareEventing) { // brokers first
		if err := running.apply(key, wanted[key]); err != nil {
			return err
		}
		switch to := wanted[key].(type) {
		case broker.Broker:
			o.Line(fmt.Sprintf("sluice: broker %v at http://%s/%v", to.ID, o.Listener.Addr(), to.ID))
		case broker.Trigger:
			o.Line(fmt.Sprintf("sluice: trigger %v of broker %s sends to %s", to.ID, to.Broker, to.Subscriber))
		}
	}
	if err := s.DeleteUnset(); err != nil {
		return err
	}
	metrics := scrape(registry)
	addr, _ := o.Listener.Addr().(*net.TCPAddr)
	private := addr != nil && addr.IP.IsLoopback()
	front := brokerServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if host := (&url.URL{Host: r.Host}).Hostname(); private && !ingress.IsMachine(host) && host != knative.BrokerHost {
			http.Error(w, fmt.Sprintf("on a loopback address the host is localhost, an IP address or %s", knative.BrokerHost), http.StatusMisdirectedRequest)
			return
		}
		if r.URL.Path == "/metrics" && r.Method == http.MethodGet {
			metrics.ServeHTTP(w, r)
			return
		}
		s.ServeHTTP(w, r) // not through a ServeMux, which redirects: no sender follows
	}))
	stop := context.AfterFunc(ctx, func() { _ = front.Close() })
	defer stop()
	if err := front.Serve(o.Listener); !errors.Is(err, http.ErrServerClosed) {
		return err
	}
	return nil
}

// load reads the manifests. Sinks have to be URIs or brokers, since there are no Services.
func (o OnlyBrokers) load() (map[manifest.EventingKey]any, error) {
	set, err := manifest.Load(o.Manifests)
	if err != nil {
		return nil, err
	}
	d := (&declared{}).withFiles(set)
	var errs []error
	for _, key := range slices.SortedFunc(maps.Keys(set.Eventing), compareEventing) {
		e := set.Eventing[key]
		errs = append(errs, checkTrigger(e), d.sinksAlone(e))
	}
	wanted := d.wantedBrokers()
	if len(wanted) == 0 {
		errs = append(errs, fmt.Errorf("%s: there is no Broker", o.Manifests))
	}
	return wanted, errors.Join(errs...)
}

// sinksAlone returns an error for sinks of a trigger that aren't there without Services.
func (d *declared) sinksAlone(e *manifest.Eventing) error {
	if e.Trigger == nil {
		return nil
	}
	var errs []error
	if s := d.resolve(e.Namespace, &e.Trigger.Subscriber); s.URI == "" {
		errs = append(errs, e.Trigger.Subscriber.Place.Errorf("there are brokers only, so a sink is a uri or a Broker: %s", s.Why))
	}
	if _, dead := d.delivery(e); dead != nil && dead.URI == "" {
		errs = append(errs, e.Pos.Errorf("spec.delivery.deadLetterSink", "there are brokers only, so a sink is a uri or a Broker: %s", dead.Why))
	}
	return errors.Join(errs...)
}

// transport sends events, those for the host of brokers in a cluster to the Listener.
func (o OnlyBrokers) transport() *http.Transport {
	t := broker.NewTransport()
	dial := t.DialContext
	t.DialContext = func(ctx context.Context, network, addr string) (net.Conn, error) {
		if addr == net.JoinHostPort(knative.BrokerHost, "80") {
			addr = o.Listener.Addr().String()
		}
		return dial(ctx, network, addr)
	}
	return t
}

// scrape serves metrics as text. Prometheus' own handler would have the quickstart compile compressors.
func scrape(g prometheus.Gatherer) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		families, err := g.Gather()
		if err != nil {
			http.Error(w, err.Error(), http.StatusInternalServerError)
			return
		}
		format := expfmt.NewFormat(expfmt.TypeTextPlain)
		w.Header().Set("Content-Type", string(format))
		enc := expfmt.NewEncoder(w, format)
		for _, f := range families {
			if enc.Encode(f) != nil {
				return // the client has gone
			}
		}
	})
}
