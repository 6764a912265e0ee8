package queueproxy

import (
	"context"
	"net/http"
	"sync"
	"time"

	"go.uber.org/zap"

	"github.com/sluice-proxy/sluice/internal/knative"
	"github.com/sluice-proxy/sluice/internal/quota"
	"github.com/sluice-proxy/sluice/internal/rejected"
	"github.com/sluice-proxy/sluice/metrics"
	"github.com/sluice-proxy/sluice/proxy"
	"github.com/sluice-proxy/sluice/throttler"
)

// Proxy is a queue-proxy. Its methods may be called concurrently, Listen and Run once.
type Proxy struct {
	config   Config
	log      *zap.Logger
	policy   *policy
	handler  *proxy.Handler
	front    http.Handler // handler, inside what Config.WrapHandler returned
	scrape   *metrics.Scrape
	rejected *rejected.Reporter
	created  time.Time

	mu       sync.Mutex
	services []*service // in the order in which their listeners were opened
	requests server
}

// New returns a queue-proxy that doesn't listen yet. With a nil log it doesn't log. It fails if Config.Validate does or if
// Config.Registry already has the same collectors.
func New(c Config, log *zap.Logger) (*Proxy, error) {
	if err := c.Validate(); err != nil {
		return nil, err
	}
	if log == nil {
		log = zap.NewNop()
	}
	for _, line := range c.Ignored {
		log.Warn(line)
	}
	for _, p := range c.Probes {
		if p.InitialDelay > 0 {
			log.Info("initialDelaySeconds delays only the kubelet's probes; requests may arrive as soon as the app passes its probe",
				zap.Duration("initialDelay", p.InitialDelay), zap.String("app", p.Addr))
		}
	}
	c = c.withDefaults()
	p := &Proxy{config: c, log: log, created: time.Now()}
	p.policy = &policy{
		config:    c,
		private:   knative.PrivateHeaders(),
		heads:     quota.New(c.MaxWaitingBytes),
		stats:     metrics.NewConcurrency(p.created),
		readiness: newReadiness(c),
		drain:     newDrain(c.DrainQuiet, c.DrainIdle, drainLimit(c.GracePeriod), func(on bool) { p.handler.SetDraining(on) }),
		exchanges: sync.Pool{New: func() any { return new(exchange) }},
	}
	p.policy.readiness.diagnosis.log = log
	p.policy.drain.undone = func() { log.Info("the drain is undone, because no SIGTERM has followed") }
	var depth func() int
	if n := c.ContainerConcurrency; n > 0 {
		b := throttler.NewBreaker(n, c.QueueDepth)
		p.policy.breaker = b
		depth = func() int { s := b.Stats(); return s.InFlight + s.Waiting }
	}
	var err error
	if p.policy.collectors, err = newCollectors(c, depth, p.budgets); err != nil {
		return nil, err
	}
	p.rejected = rejected.New(log, p.policy.collectors.countRejected())
	p.policy.readiness.diagnosis.count = p.policy.collectors.countUnavailable()
	var rules proxy.Policy = p.policy
	if c.WrapPolicy != nil {
		rules = c.WrapPolicy(rules)
	}
	p.handler, err = proxy.New(proxy.Config{
		Policy: rules, Name: name, EndToEnd: knative.InternalHeaders(), Private: p.policy.private, Dial: c.Dial,
		MaxIdleConnsPerHost: proxy.DefaultMaxIdleConns, // the app is the only host
		OnUnwatched: func() {
			log.Warn("the proxy may not notice when a waiting client closes its connection, because it can't watch that connection. " +
				"If the http.Server is your own, set its ConnContext to proxy.ConnContext")
		},
	})
	if err != nil {
		return nil, err
	}
	p.front = p.handler
	if c.WrapHandler != nil {
		log.Info("net/http serves requests, because Config.WrapHandler is set")
		p.front = besideProbes(c.WrapHandler(p.handler), p.handler)
	}
	p.scrape = metrics.NewScrape(metrics.ScrapeLabels{
		Namespace: c.Identity.Namespace, Configuration: c.Identity.Configuration,
		Revision: c.Identity.Revision, Pod: c.Identity.Pod,
	})
	p.measure(p.created)
	return p, nil
}

// Handler returns a handler that forwards requests to the app and answers probes, for the caller's own http.Server, whose
// ConnContext should be proxy.ConnContext. Run serves requests faster. Without Run the caller has to call Drain and Close.
func (p *Proxy) Handler() http.Handler { return p.front }

// besideProbes keeps probes from an embedder's handler, which must not answer them for the pod.
func besideProbes(requests, probes http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if IsProbe(proxy.NewHeader(r.Header)) {
			probes.ServeHTTP(w, r)
		} else {
			requests.ServeHTTP(w, r)
		}
	})
}

// Drain makes probes fail and responses ask clients to open new connections elsewhere. It blocks until the pod is quiet
// and no request is in flight, or until shortly before the pod's grace period is over; if ctx ends before, it returns the
// cause. The drain is undone unless the context of Run ends within a second after, or another Drain is under way.
func (p *Proxy) Drain(ctx context.Context) error {
	p.startDrain()
	defer p.policy.drain.release(drainUndo)
	if err := p.policy.drain.untilQuiet(ctx); err != nil {
		return err
	}
	return p.policy.drain.untilEmpty(ctx)
}

// hook blocks the preStop hook of the app's container until the pod is quiet. It doesn't wait for requests in flight: the
// app ends those after its SIGTERM, since it alone can close a websocket properly. If the queue-proxy gets no SIGTERM,
// hook returns after a second and the drain is undone.
func (p *Proxy) hook(ctx context.Context) error {
	begin := time.Now()
	p.startDrain()
	defer func() { p.policy.drain.release(max(0, drainUndo-time.Since(begin))) }()
	return p.policy.drain.untilHooked(ctx, begin)
}

// budgets returns the bounds on what the queue-proxy holds for its clients.
func (p *Proxy) budgets() (all []metrics.Budget) {
	p.mu.Lock()
	e, _ := p.requests.(*proxy.Engine)
	p.mu.Unlock()
	if e != nil {
		for _, u := range e.Usage() {
			all = append(all, metrics.Budget(u))
		}
	}
	if b := p.policy.breaker; b != nil {
		s := b.Stats()
		all = append(all, metrics.Budget{Name: "waiting", Used: int64(s.Waiting), Limit: int64(s.Queue), Refused: s.Refused})
	}
	h := p.policy.heads
	return append(all, metrics.Budget{Name: "waiting_bytes", Used: h.Used(), Limit: h.Limit(), Refused: h.Refused()})
}

// Close closes unused connections to the app and waits for the goroutines of the queue-proxy. Call it when no request is
// in flight and none can arrive. Run calls it itself.
func (p *Proxy) Close() error {
	p.policy.drain.close()
	err := p.handler.Close()
	p.policy.readiness.close()
	return err
}

func (p *Proxy) startDrain() {
	if p.policy.drain.start() {
		p.log.Info("draining")
	}
}

// measure gives the scrape handler the statistics since the last call.
func (p *Proxy) measure(now time.Time) {
	p.scrape.Set(p.policy.stats.Report(now).Stat(p.config.Identity.Pod, now.Sub(p.created), now))
}

// drainLimit is how long a drain may take. The rest of the grace period, which SIGKILL ends, is for closing and export.
func drainLimit(gracePeriod time.Duration) time.Duration {
	return gracePeriod - min(adminGrace+FlushTime, gracePeriod/10)
}
