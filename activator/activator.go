package activator

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"math"
	"net/http"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/sluice-proxy/sluice/internal/knative"
	"github.com/sluice-proxy/sluice/internal/quota"
	"github.com/sluice-proxy/sluice/internal/rejected"
	"github.com/sluice-proxy/sluice/metrics"
	"github.com/sluice-proxy/sluice/proxy"
	"github.com/sluice-proxy/sluice/throttler"
	"go.uber.org/zap"
	"golang.org/x/sync/errgroup"
)

// Name is what the activator calls itself in the Proxy-Status field of its own answers (RFC 9209).
const Name = "sluice-activator"

// Activator is a [Sink] and, by [Activator.Engine], the server of the requests. Its methods may be called concurrently.
type Activator struct {
	config     Config
	log        *zap.Logger
	throttler  *throttler.Throttler
	handler    *proxy.Handler
	engine     atomic.Pointer[proxy.Engine] // the last that was made, whose bounds are in the metrics
	stats      *metrics.Revisions
	collectors *collectors // nil: no Registerer
	rejected   *rejected.Reporter
	prober     *prober
	revisions  table
	exchanges  sync.Pool
	gate       *throttler.Breaker        // open once the source has synced; requests of unknown revisions wait for it until then
	early      *quota.Shares[netip.Addr] // how many wait for the gate, by client
	noTLS      *tls.Config               // trusts no certificate
	sessions   sessions                  // whose cookies keep clients on a pod
	private    []string                  // fields that neither reach a pod's app nor come from it

	announcements *announcements

	started atomic.Bool
	synced  chan struct{} // closed when the source has synced
	failing atomic.Bool
}

// New makes an Activator that knows no revision yet; log may be nil. The caller runs it with [Activator.Run] and in the
// end calls [Activator.Close]. It fails when c is not valid or its Registerer has the collectors already.
func New(c Config, log *zap.Logger) (*Activator, error) {
	if err := c.Validate(); err != nil {
		return nil, err
	}
	if log == nil {
		log = zap.NewNop()
	}
	a := &Activator{config: c.withDefaults(), log: log, synced: make(chan struct{})}
	a.gate, a.early = throttler.NewBreaker(0, math.MaxInt), quota.NewShares[netip.Addr](int64(a.config.MaxWaiting))
	a.private, a.sessions = knative.PrivateHeaders(), newSessions(c.CookieKey)
	a.noTLS = &tls.Config{RootCAs: x509.NewCertPool(), MinVersion: tls.VersionTLS13}
	a.exchanges.New = func() any { return &exchange{a: a} }
	a.revisions.byID = map[throttler.RevisionID]*tracked{}
	a.prober = newProber(a.config)
	a.announcements = newAnnouncements(a)
	var err error
	if a.throttler, err = throttler.New(throttler.Config{
		MaxWaiting:      a.config.MaxWaiting,
		MaxWaitingBytes: a.config.MaxWaitingBytes,
	}); err != nil {
		return nil, fmt.Errorf("activator: %w", err)
	}
	if err := a.initStats(); err != nil {
		return nil, err
	}
	a.rejected = rejected.New(log, a.collectors.countRejected())
	if err := a.initHandler(); err != nil {
		return nil, err
	}
	return a, nil
}

func (a *Activator) initStats() (err error) {
	c := metrics.RevisionsConfig{Pod: a.config.PodName}
	if a.config.Reporter != nil {
		c.First = a.config.Reporter.Send
	}
	if a.config.Registerer != nil {
		if a.collectors, err = newCollectors(a.config, a.budgets, a.affinityCounts); err != nil {
			return fmt.Errorf("activator: %w", err)
		}
		c.Observe = a.observeConcurrency
	}
	if a.stats, err = metrics.NewRevisions(c); err != nil {
		return fmt.Errorf("activator: %w", err)
	}
	return nil
}

func (a *Activator) initHandler() (err error) {
	var p proxy.Policy = policy{a}
	if a.config.WrapPolicy != nil {
		p = a.config.WrapPolicy(p)
	}
	a.handler, err = proxy.New(proxy.Config{
		Policy:              p,
		Name:                Name,
		TimeoutText:         "activator request timeout",
		EndToEnd:            knative.InternalHeaders(),
		Private:             a.private,
		Dial:                a.config.Dial,
		DialTimeout:         a.config.DialTimeout,
		MaxIdleConns:        a.config.MaxIdleConns,
		MaxIdleConnsPerHost: a.config.MaxIdleConnsPerHost,
		OnUnwatched: func() {
			a.log.Warn("the proxy may not notice when a waiting client closes its connection, because it can't watch that connection. " +
				"If the http.Server is your own, set its ConnContext to proxy.ConnContext")
		},
	})
	if err != nil {
		return fmt.Errorf("activator: %w", err)
	}
	return nil
}

// Engine makes a server of requests and probes, on an HTTP/1.1 of our own; the caller listens, serves and shuts down (see
// [proxy.NewEngine]). Requests are answered from the moment the sink knows their revision and pods, but pods are only
// found usable while Run runs. Connections that are refused are counted, and a few of them logged, before c.OnRejected is
// called for them.
func (a *Activator) Engine(c proxy.ServerConfig) *proxy.Engine {
	own := c.OnRejected
	c.OnRejected = func(remote string, err *proxy.Error) {
		a.rejected.Report(remote, err)
		if own != nil {
			own(remote, err)
		}
	}
	e := proxy.NewEngine(a.handler, c)
	a.engine.Store(e)
	return e
}

// Handler does what Engine does on net/http, for a server of the caller's own; that must be one of [proxy.NewServer], or
// have proxy.ConnContext as its ConnContext.
func (a *Activator) Handler() http.Handler { return a.handler }

// Run probes pods, reports statistics and runs src until ctx is cancelled; then it returns nil, after everything that
// it started has ended. It returns the error of src if that fails earlier. With a nil src the caller uses the Sink
// methods itself. Run may be called once.
func (a *Activator) Run(ctx context.Context, src Source) error {
	if a.started.Swap(true) {
		return errors.New("activator: Run was called before")
	}
	g, ctx := errgroup.WithContext(ctx)
	g.Go(func() error { a.prober.run(ctx); return nil })
	g.Go(func() error { a.announcements.relay.run(ctx); return nil })
	g.Go(func() error { a.report(ctx); return nil })
	if src != nil {
		g.Go(func() error { return src.Run(ctx, a) })
	}
	g.Go(func() error { a.awaitSynced(ctx, src); return nil })
	return g.Wait()
}

// awaitSynced opens the gate when the source has synced or ctx ends.
func (a *Activator) awaitSynced(ctx context.Context, src Source) {
	defer a.gate.Resize(math.MaxInt, 0)
	if s, ok := src.(SyncedSource); ok {
		select {
		case <-s.Synced():
		case <-ctx.Done():
			return
		}
	}
	close(a.synced)
}

// Ready blocks until Run runs and its source has synced, or until ctx ends, whose cause it then returns. A program
// without a readiness probe calls it before it accepts requests.
func (a *Activator) Ready(ctx context.Context) error {
	select {
	case <-a.synced:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

func (a *Activator) hasSynced() bool {
	select {
	case <-a.synced:
		return true
	default:
		return false
	}
}

const notSynced = "revisions and pods have not been read yet"

// unready returns why the activator is not ready for traffic, or "".
func (a *Activator) unready() string {
	switch {
	case a.failing.Load():
		return "shutting down"
	case !a.hasSynced():
		return notSynced
	}
	return ""
}

// UpdateRevision makes a revision known or changes it. Requests under way keep what they began with.
func (a *Activator) UpdateRevision(r Revision) {
	a.change(r.ID, func(t *tracked) { t.setRevisionLocked(r) })
}

// DeleteRevision fails the requests that wait for the revision, and those that come.
func (a *Activator) DeleteRevision(id throttler.RevisionID) {
	a.change(id, (*tracked).deleteRevisionLocked)
}

// UpdateEndpoints replaces the pods of the revision. New ones are probed at once.
func (a *Activator) UpdateEndpoints(id throttler.RevisionID, e Endpoints) {
	a.change(id, func(t *tracked) { t.setEndpointsLocked(e) })
}

// UpdateUnavailable says that no pod of the revision is to be expected, and why, in a sentence that clients read: as long as
// none can be used, requests are answered 503 (not_ready) with it instead of waiting, those that wait already included.
// An empty why takes it back, and so does DeleteRevision; for a revision that is not known it does nothing. It is for
// sources that know more of their pods than endpoints. They hold the Activator, since a Sink doesn't have it.
func (a *Activator) UpdateUnavailable(id throttler.RevisionID, why string) {
	var err error
	if why != "" {
		err = &proxy.Error{Reason: proxy.NotReady, Text: why + "\n"}
	}
	a.throttler.SetUnavailable(id, err)
}

// UpdatePeers replaces the list of activators in the path of the revision.
func (a *Activator) UpdatePeers(id throttler.RevisionID, peers []string) {
	a.change(id, func(t *tracked) { t.pods.setPeers(peers) })
}

// change calls f with the revision, locked, and reconciles. A revision of which nothing is known afterwards is forgotten.
func (a *Activator) change(id throttler.RevisionID, f func(*tracked)) {
	for {
		t := a.revisions.getOrMake(id, a)
		t.mu.Lock()
		if t.forgotten { // between the look-up and the lock
			t.mu.Unlock()
			continue
		}
		f(t)
		t.reconcileLocked()
		if t.emptyLocked() {
			t.forgotten = true
			a.revisions.remove(t)
		}
		t.mu.Unlock()
		return
	}
}

// RevisionOf finds the revision that a request is for, by its header as the client sent it: for a policy of
// [Config.WrapPolicy], in its Begin. False when the request names none, or none that is known. It takes a read lock.
func (a *Activator) RevisionOf(req *proxy.Request) (Revision, bool) {
	namespace, name, ok := resolve(req, a.config.ClusterDomain)
	if !ok {
		return Revision{}, false
	}
	if t := a.revisions.get(namespace, name); t != nil {
		if s := t.spec.Load(); s != nil {
			return s.Revision, true
		}
	}
	return Revision{}, false
}

// RevisionSnapshot is a revision at one moment.
type RevisionSnapshot struct {
	ID       throttler.RevisionID
	Limit    int
	Waiting  int // requests that wait for a pod
	InFlight int // requests that a pod is working on
	Pods     int // endpoints known
	Usable   int // of these, may get requests
}

// Stats is the revision at this moment; false when it is not known.
func (a *Activator) Stats(id throttler.RevisionID) (RevisionSnapshot, bool) {
	t := a.revisions.get(id.Namespace, id.Name)
	if t == nil {
		return RevisionSnapshot{}, false
	}
	return t.snapshot()
}

// Snapshot is every revision at this moment, in the order of their names.
func (a *Activator) Snapshot() []RevisionSnapshot {
	var all []RevisionSnapshot
	for _, t := range a.revisions.all() {
		if s, ok := t.snapshot(); ok {
			all = append(all, s)
		}
	}
	slices.SortFunc(all, func(x, y RevisionSnapshot) int { return strings.Compare(x.ID.String(), y.ID.String()) })
	return all
}

// affinityCounts is where the requests of the revisions with affinity went.
func (a *Activator) affinityCounts() []metrics.AffinityCounts {
	var all []metrics.AffinityCounts
	for _, t := range a.revisions.all() {
		s := t.spec.Load()
		if s == nil {
			continue
		}
		ts, _ := a.throttler.Stats(t.id)
		if s.affinity.By == knative.NoAffinity && ts.Keys == 0 {
			continue
		}
		all = append(all, metrics.AffinityCounts{
			Namespace: t.id.Namespace, Revision: t.id.Name, Bypassed: s.bypassed(),
			Kept: ts.Kept, MovedGone: ts.MovedGone, MovedOut: ts.MovedOut, MovedFull: ts.MovedFull, MovedHome: ts.MovedHome,
		})
	}
	return all
}

// report sends the statistics of each period.
func (a *Activator) report(ctx context.Context) {
	t := time.NewTicker(a.config.ReportPeriod)
	defer t.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case now := <-t.C:
			if m := a.stats.Report(now); m != nil && a.config.Reporter != nil {
				a.config.Reporter.Send(m)
			}
		}
	}
}

func (a *Activator) observeConcurrency(k metrics.RevisionKey, r metrics.Report) {
	if t := a.revisions.get(k.Namespace, k.Name); t != nil {
		if s := t.spec.Load(); s != nil {
			s.collectors.SetConcurrency(r.Concurrency)
		}
	}
}

// budgets are the bounds on what the activator holds for its clients.
func (a *Activator) budgets() (all []metrics.Budget) {
	if e := a.engine.Load(); e != nil {
		for _, u := range e.Usage() {
			all = append(all, metrics.Budget(u))
		}
	}
	t := a.throttler.Totals()
	return append(all,
		metrics.Budget{Name: "waiting", Used: int64(t.Waiting), Limit: int64(t.MaxWaiting), Refused: t.WaitingRefused},
		metrics.Budget{Name: "waiting_bytes", Used: t.WaitingBytes, Limit: t.MaxWaitingBytes, Refused: t.WaitingBytesRefused},
	)
}

// FailProbes answers the kubelet's probes with 500 from now on, and others as before: the first step of an end, while
// requests still come.
func (a *Activator) FailProbes() { a.failing.Store(true) }

// Drain asks clients to go elsewhere (Connection: close, GOAWAY) and blocks until no request is in progress, upgraded
// connections included, or ctx ends: then it returns the cause of that.
func (a *Activator) Drain(ctx context.Context) error {
	a.handler.SetDraining(true)
	return a.handler.Drain(ctx)
}

// Close closes idle connections to pods. It is called last, when Run has returned and no request is in progress.
func (a *Activator) Close() error { return a.handler.Close() }
