package standalone

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"maps"
	"net"
	"net/http"
	"runtime"
	"runtime/debug"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"go.uber.org/zap"
	"golang.org/x/sync/errgroup"

	"github.com/sluice-proxy/sluice/activator"
	"github.com/sluice-proxy/sluice/internal/standalone/autoscaler"
	"github.com/sluice-proxy/sluice/internal/standalone/catalog"
	"github.com/sluice-proxy/sluice/internal/standalone/containers"
	"github.com/sluice-proxy/sluice/internal/standalone/forward"
	"github.com/sluice-proxy/sluice/internal/standalone/ingress"
	"github.com/sluice-proxy/sluice/internal/standalone/manifest"
	"github.com/sluice-proxy/sluice/internal/standalone/replica"
	"github.com/sluice-proxy/sluice/internal/tracing"
	"github.com/sluice-proxy/sluice/proxy"
	"github.com/sluice-proxy/sluice/throttler"
)

// Server is the quickstart. New reads the manifests and listens; Run serves.
type Server struct {
	config Config
	log    *zap.Logger
	self   string // path of this binary

	cgroups replica.Cgroups // enforce the limits of containers

	listener  net.Listener
	front     *proxy.Engine
	activator *activator.Activator
	tracer    *tracing.Tracer
	registry  *prometheus.Registry // the metrics of activator and brokers
	ingress   *ingress.Ingress
	ports     *replica.Ports
	forward   *forward.Proxy // nil: no app uses the cluster's names
	scraper   *autoscaler.Scraper
	kubelet   *http.Client
	sender    *http.Client // of events
	inbox     *inbox
	programs  *programs
	engines   *engines

	calls   chan func()   // for the goroutine that owns the fields below
	stopped chan struct{} // closed when it takes no more calls
	tasks   sync.WaitGroup

	catalog   *catalog.Catalog
	api       *api              // nil: it is off
	seen      [sha256.Size]byte // of the files
	declared  *declared
	sources   []string // the files of the applied manifests
	remarks   []string // on the manifests
	revisions map[throttler.RevisionID]*revision
	serving   map[serviceKey]*catalog.Revision // the revisions that get the traffic of the latest
	pods      map[*pod]*revision               // all, including those of deleted revisions
	sampled   time.Time                        // the latest sample's second
	pulling   int                              // revisions whose images are being pulled
	brokers   *runningBrokers                  // nil: none was declared yet
	kept      bool                             // a Broker or a Trigger of the saved state isn't served, and its events are kept
	pingers   map[manifest.EventingKey]*pinger
	unready   map[manifest.EventingKey]string // why; as shown
	ending    bool
}

type serviceKey struct{ namespace, name string }

// New reads the manifests and listens. Its error has a line for each problem. The caller has to call Run, once, or Close.
func New(c Config) (*Server, error) {
	if err := c.Validate(); err != nil {
		return nil, err
	}
	c = c.withDefaults()
	self, err := replica.Self()
	if err != nil {
		return nil, err
	}
	s := &Server{
		config: c, log: c.Log, self: self, cgroups: replica.FindCgroups(), registry: prometheus.NewRegistry(),
		inbox: newInbox(), calls: make(chan func()), stopped: make(chan struct{}),
		declared:  &declared{},
		engines:   &engines{choice: c.Runtime},
		revisions: map[throttler.RevisionID]*revision{},
		serving:   map[serviceKey]*catalog.Revision{},
		pods:      map[*pod]*revision{},
		pingers:   map[manifest.EventingKey]*pinger{},
		unready:   map[manifest.EventingKey]string{},
	}
	if c.Runtime == containers.Podman || c.Runtime == containers.Docker {
		if _, err := s.engines.find(); err != nil {
			return nil, fmt.Errorf("-runtime %s: %w", c.Runtime, err)
		}
	}
	s.catalog = catalog.New(catalog.Config{
		Scaling: *c.Scaling, Images: c.images(), Runnable: runnable, Contained: s.engines.contained,
		HostNetwork: runtime.GOOS == "linux", // elsewhere containers run in a virtual machine
		Serving:     func(r *catalog.Revision) bool { return s.serving[serviceKey{r.Namespace, r.Service}] == r },
	})
	if c.API != nil {
		if s.api, err = openAPI(*c.API); err != nil {
			return nil, err
		}
		s.restore()
	}
	if len(c.Files) == 0 && len(s.declared.services) == 0 {
		s.config.Files = c.Sample
	}
	if err := s.load(); err != nil {
		return nil, errors.Join(err, s.api.close())
	}
	if s.listener, err = new(net.ListenConfig).Listen(context.Background(), "tcp", c.addr()); err != nil {
		return nil, errors.Join(c.inUse(err), s.api.close())
	}
	s.config.Port = s.listener.Addr().(*net.TCPAddr).Port
	s.ingress = ingress.New(ingress.Config{Domain: c.domain(), Shown: c.shownDomain(), ProxyStatus: "sluice-ingress"})
	if s.tracer, err = newTracer(c.Observability, "sluice-quickstart", c.Log); err != nil {
		return nil, errors.Join(err, s.listener.Close(), s.api.close())
	}
	if s.activator, err = activator.New(s.activatorConfig(), c.Log); err != nil {
		return nil, errors.Join(err, s.listener.Close(), s.api.close())
	}
	if s.api != nil {
		if err := s.serveAPI(*c.API); err != nil {
			return nil, errors.Join(err, s.Close())
		}
	}
	s.front = s.activator.Engine(c.Limits.Server(proxy.ServerConfig{FreeMemory: debug.FreeOSMemory}))
	s.ports = replica.NewPorts(replicaHost, c.ReplicaPorts)
	s.scraper = autoscaler.NewScraper()
	s.kubelet, s.sender = newKubelet(), s.newSender()
	s.programs = newPrograms(func(path string) { s.post(func() { s.programsChanged(path) }) })
	return s, nil
}

func (s *Server) activatorConfig() activator.Config {
	l := s.config.Limits
	return activator.Config{
		MaxWaiting: int(l.Waiting), MaxWaitingBytes: int64(l.WaitingBytes), RevisionMaxWaiting: int(l.RevisionWaiting), Proxies: l.Proxies,
		Registerer: s.registry, Reporter: s.inbox, OnHold: s.inbox.hold, OnColdStart: s.inbox.coldStart,
		WrapPolicy: func(p proxy.Policy) proxy.Policy { return s.tracer.Wrap(s.ingress.Wrap(p)) },
	}
}

// Close releases what New has opened. It is for callers that don't call Run.
func (s *Server) Close() error {
	return errors.Join(s.listener.Close(), s.activator.Close(), s.api.close())
}

// load applies the current contents of the files; after an error the previous state stays.
func (s *Server) load() error {
	in := s.config.input()
	s.seen = fingerprint(in)
	set := manifest.Set{Objects: manifest.Objects{}}
	if len(in.Paths) > 0 {
		var err error
		if set, err = manifest.Load(in); err != nil {
			return err
		}
	}
	if err := s.emptied(set); err != nil {
		return err
	}
	next := s.declared.withFiles(set)
	plan, err := s.plan(next)
	if err != nil {
		return err
	}
	plan.Commit()
	set.Objects = next.objects // for the remarks: a Service may refer to what the API has
	s.adopt(set)
	before := s.declared
	s.declared = next
	s.api.putFiles(before, next)
	return nil
}

// emptied returns an error for applied files that are now empty: a program that writes a file in place truncates it first,
// which must not end its services.
func (s *Server) emptied(set manifest.Set) error {
	var errs []error
	for _, unread := range set.Unread {
		if slices.Contains(s.sources, unread.File) {
			errs = append(errs, fmt.Errorf("%w; its services stay until the file is removed", unread))
		}
	}
	return errors.Join(errs...)
}

// Run serves until ctx is cancelled, then ends requests and replicas, each within a few seconds, and returns nil. All
// processes that it started have ended when it returns.
func (s *Server) Run(ctx context.Context) error {
	// Not cancelled with ctx: requests in flight and replicas end first.
	base, cancel := context.WithCancel(context.WithoutCancel(ctx))
	defer cancel()
	var around errgroup.Group
	around.Go(func() error { return s.activator.Run(base, nil) })
	around.Go(func() error { return s.tracer.Run(base) })

	s.greet()
	s.sweep(base)
	s.applied()
	failed := make(chan error, 1)
	around.Go(func() error {
		err := s.front.Serve(s.listener)
		if errors.Is(err, http.ErrServerClosed) {
			return nil
		}
		failed <- err
		return err
	})
	around.Go(func() error { s.programs.run(base); return nil })
	if s.api != nil {
		around.Go(func() error { return s.api.server.Serve(s.api.listener) })
	}
	around.Go(func() error { watch(base, s.config.input(), s.seen, func() { s.post(s.reload) }); return nil })

	s.loop(ctx.Done(), failed)
	s.config.Screen.Line("sluice: ending; once more to force it")
	s.ending = true
	s.endAPI()
	s.endPingers()
	s.endBrokers()
	s.endRequests(base)
	s.endBrokersFront()
	s.endReplicas()
	s.endProxy()
	close(s.stopped)
	cancel()
	s.tasks.Wait()
	err := around.Wait()
	s.scraper.Close()
	s.kubelet.CloseIdleConnections()
	s.sender.CloseIdleConnections()
	s.ports.Close()
	return errors.Join(err, s.activator.Close(), s.api.close())
}

// greet shows the addresses and the files.
func (s *Server) greet() {
	addr := "http://" + s.config.addr()
	from := ""
	if len(s.config.Files) > 0 {
		from = ", manifests: " + s.config.input().String()
	}
	s.config.Screen.Line("sluice: listening on " + addr + from)
	if s.api != nil {
		s.config.Screen.Line("sluice: for kubectl and kn:  export KUBECONFIG=" + s.api.kubeconfig)
	}
	s.remark(nil)
	if warning := fewFiles(openFiles()); warning != "" {
		s.config.Screen.Line("sluice: " + warning)
	}
	if services := s.catalog.Services(); len(services) > 0 {
		s.config.Screen.Line("sluice: try  curl " + s.url(services[0].Name, services[0].Namespace))
	} else if s.api != nil {
		s.config.Screen.Line("sluice: nothing to serve yet: kubectl apply -f FILE")
	}
}

// post runs f on the goroutine that owns the state, and returns false if that has stopped. It blocks until f begins.
func (s *Server) post(f func()) bool {
	select {
	case s.calls <- f:
		return true
	case <-s.stopped:
		return false
	}
}

// loop handles calls, reports and ticks until end closes or the ingress fails.
func (s *Server) loop(end <-chan struct{}, failed chan error) {
	second, tick := time.NewTicker(time.Second), time.NewTicker(s.config.Scaling.TickInterval)
	defer second.Stop()
	defer tick.Stop()
	for {
		select {
		case <-end:
			return
		case <-failed: // Run returns it
			return
		case f := <-s.calls:
			f()
		case <-s.inbox.changed:
			s.readInbox()
		case now := <-second.C:
			s.sample(now)
		case now := <-tick.C:
			s.scaleAll(now)
			s.retryBrokers()
		}
		s.show()
		s.publish()
	}
}

// during handles calls and reports until done closes or d has passed; it reports whether done closed.
func (s *Server) during(done <-chan struct{}, d time.Duration) bool {
	t := time.NewTimer(d)
	defer t.Stop()
	for {
		select {
		case <-done:
			return true
		case <-t.C:
			return false
		case f := <-s.calls:
			f()
		case <-s.inbox.changed:
			s.readInbox()
		}
	}
}

// endAPI ends the API's connections.
func (s *Server) endAPI() {
	if s.api == nil {
		return
	}
	done := make(chan error, 1)
	finished := make(chan struct{})
	go func() {
		defer close(finished)
		done <- s.api.server.Close()
	}()
	s.during(finished, time.Hour) // a write in progress ends
	if err := <-done; err != nil {
		s.log.Warn("API", zap.Error(err))
	}
}

// endRequests closes the listener and waits for requests in flight, for endGrace at most.
func (s *Server) endRequests(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, endGrace)
	defer cancel()
	done := make(chan struct{})
	go func() {
		defer close(done)
		_ = s.front.Shutdown(ctx)  // its error is that of ctx
		_ = s.activator.Drain(ctx) // upgraded connections, which Shutdown doesn't wait for
		_ = s.front.Close()        // the remaining connections
	}()
	s.during(done, 2*endGrace)
	<-done
}

// endReplicas drains all replicas, and kills those that remain after endGrace.
func (s *Server) endReplicas() {
	all := slices.Collect(maps.Keys(s.pods))
	for _, p := range all {
		s.terminate(s.pods[p], p)
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		for _, p := range all {
			<-p.replica.Done()
		}
	}()
	if s.during(done, endGrace) {
		return
	}
	for _, p := range all {
		p.replica.Kill()
	}
	s.during(done, time.Hour) // a supervisor ends within seconds
}

// reload applies changed files, or shows why it can't.
func (s *Server) reload() {
	if s.ending {
		return
	}
	before := s.remarks
	if err := s.load(); err != nil {
		for line := range strings.Lines(err.Error()) {
			s.config.Screen.Line("sluice: nothing applied: " + strings.TrimSpace(line))
		}
		return
	}
	for key := range s.declared.services {
		s.retry(key)
	}
	s.applied()
	s.config.Screen.Line("sluice: manifests applied")
	s.remark(before)
}
