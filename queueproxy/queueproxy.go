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
	front    http.Handler // handler, with what an embedder has put in front of it
	scrape   *metrics.Scrape
	rejected *rejected.Reporter
	created  time.Time

	mu       sync.Mutex
	services []*service // those that listen, in the order in which they were opened
	requests server
}

// New makes a queue-proxy that doesn't listen yet. A nil log keeps silent. Errors are those of Config.Validate, and of
// a Config.Registry that has the same collectors already.
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
			log.Info("initialDelaySeconds delays the kubelet's probes alone: requests may come as soon as the app passes its probe",
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
	p.policy.readiness.ailment.log = log
	p.policy.drain.undone = func() { log.Info("the drain is undone: no SIGTERM has followed") }
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
	p.rejected = rejected.New(log, p.policy.collectors.ofRefused())
	p.policy.readiness.ailment.count = p.policy.collectors.ofUnavailable()
	var rules proxy.Policy = p.policy
	if c.WrapPolicy != nil {
		rules = c.WrapPolicy(rules)
	}
	p.handler, err = proxy.New(proxy.Config{
		Policy: rules, Name: name, EndToEnd: knative.InternalHeaders(), Private: p.policy.private, Dial: c.Dial,
		MaxIdleConnsPerHost: proxy.DefaultMaxIdleConns, // there is one host
		OnUnwatched: func() {
			log.Warn("clients that leave while they wait may go unnoticed: their connections can't be watched. " +
				"Where the http.Server is your own, set its ConnContext to proxy.ConnContext")
		},
	})
	if err != nil {
		return nil, err
	}
	p.front = p.handler
	if c.WrapHandler != nil {
		log.Info("requests are served by net/http: an http.Handler is put in front of them")
		p.front = besideProbes(c.WrapHandler(p.handler), p.handler)
	}
	p.scrape = metrics.NewScrape(metrics.ScrapeLabels{
		Namespace: c.Identity.Namespace, Configuration: c.Identity.Configuration,
		Revision: c.Identity.Revision, Pod: c.Identity.Pod,
	})
	p.measure(p.created)
	return p, nil
}

// Handler forwards requests to the app, and answers probes, for an http.Server of the caller's own, whose ConnContext
// should be proxy.ConnContext; Run serves them faster. Drain and Close are the caller's to call then, unless it uses Run as well.
func (p *Proxy) Handler() http.Handler { return p.front }

// besideProbes keeps an embedder's handler from answering for the pod: probes go past it.
func besideProbes(requests, probes http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if IsProbe(proxy.NewHeader(r.Header)) {
			probes.ServeHTTP(w, r)
		} else {
			requests.ServeHTTP(w, r)
		}
	})
}

// Drain fails probes and has answers tell clients to open new connections elsewhere, and blocks until the pod is quiet
// and nothing is in flight any more, until shortly before the pod's grace period is over at most; or until ctx ends, whose cause it
// returns. Unless Run is told to end within a second of its return, or another Drain is under way, the drain is undone.
func (p *Proxy) Drain(ctx context.Context) error {
	p.startDrain()
	defer p.policy.drain.release(drainUndo)
	if err := p.policy.drain.untilQuiet(ctx); err != nil {
		return err
	}
	return p.policy.drain.untilEmpty(ctx)
}

// hook is what the preStop hook of the app's container waits for: that the pod is quiet. What is in flight then is the
// app's to end, for which it must get its SIGTERM: it alone can close a websocket properly. Without a SIGTERM of ours it
// returns after a second, and the drain is undone.
func (p *Proxy) hook(ctx context.Context) error {
	begin := time.Now()
	p.startDrain()
	defer func() { p.policy.drain.release(max(0, drainUndo-time.Since(begin))) }()
	return p.policy.drain.untilHooked(ctx, begin)
}

// budgets are the bounds on what the queue-proxy holds for its clients.
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

// Close ends unused connections to the app and waits for the goroutines of the queue-proxy. Call it when no request is
// in flight and none can come. Run does it by itself.
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

// measure has the next scrape get what has been since the last measure.
func (p *Proxy) measure(now time.Time) {
	p.scrape.Set(p.policy.stats.Report(now).Stat(p.config.Identity.Pod, now.Sub(p.created), now))
}

// drainLimit is how long a drain may take. What comes after it is quick, but SIGKILL doesn't wait.
func drainLimit(gracePeriod time.Duration) time.Duration {
	return gracePeriod - min(adminGrace+FlushTime, gracePeriod/10)
}
