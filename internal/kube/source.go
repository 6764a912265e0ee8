package kube

import (
	"context"
	"errors"
	"sync"
	"time"

	"github.com/sluice-proxy/sluice/activator"
	"github.com/sluice-proxy/sluice/internal/knative"
	"go.uber.org/zap"
	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	"k8s.io/client-go/rest"
)

// relistPeriod is the default of Config.Relist.
const relistPeriod = time.Hour

// Config of a Source.
type Config struct {
	// REST has the address of the API server and the credentials. It is not changed. Required.
	REST *rest.Config
	// SystemNamespace is the namespace of the activators, which distinguishes them from pods in a revision's public
	// endpoints. Required.
	SystemNamespace string
	// Relist is the longest time between two lists of a kind; a list corrects what a watch may have missed. Default: an
	// hour.
	Relist time.Duration
	// NoTimeouts ignores the timeouts of Revisions: up to Knative 1.7 only the queue-proxy applies them.
	NoTimeouts bool
	// Log may be nil. Each message is logged once a minute at most.
	Log *zap.Logger
}

// Validate returns the errors of all fields, joined.
func (c Config) Validate() error {
	var errs []error
	if c.REST == nil {
		errs = append(errs, errors.New("field REST: missing"))
	}
	if c.SystemNamespace == "" {
		errs = append(errs, errors.New("field SystemNamespace: missing"))
	}
	if c.Relist < 0 {
		errs = append(errs, errors.New("field Relist: should not be negative"))
	}
	return errors.Join(errs...)
}

// Source publishes the revisions of a cluster and their pods to an activator. It is an [activator.SyncedSource].
type Source struct {
	clients  *clients
	table    *table
	watchers []*watcher
	pods     *pods
	log      *zap.Logger
	synced   chan struct{}
}

var _ activator.SyncedSource = (*Source)(nil)

// New returns a Source. It makes no request yet. It fails if c is not valid or names files that can't be read.
func New(c Config) (*Source, error) {
	if err := c.Validate(); err != nil {
		return nil, err
	}
	all, err := newClients(c.REST)
	if err != nil {
		return nil, err
	}
	if c.Relist == 0 {
		c.Relist = relistPeriod
	}
	s := &Source{clients: all, table: newTable(), log: seldom(c.Log), synced: make(chan struct{})}
	ofRevision := knative.LabelRevision + "," + knative.LabelServiceType
	private := knative.LabelRevision + "," + knative.LabelServiceType + "=" + knative.ServiceTypePrivate
	watch := func(r resource, k kind, read func(any) item) *watcher {
		return newWatcher(r, &store{k, read, s.table}, c.Relist, s.log)
	}
	read := reader{c.SystemNamespace, c.NoTimeouts}
	s.watchers = []*watcher{
		watch(resource{client: all.knative, name: "revisions", example: &revisionObject{}}, revisions, read.revision),
		watch(resource{client: all.core, name: "services", labels: private, example: &corev1.Service{}}, services, readService),
	}
	s.pods = &pods{
		slices:    watch(resource{client: all.discovery, name: "endpointslices", labels: ofRevision, example: &discoveryv1.EndpointSlice{}}, endpoints, read.list),
		endpoints: watch(resource{client: all.core, name: "endpoints", labels: ofRevision, example: &coreEndpoints{}}, endpoints, read.list),
		auth:      all.auth,
		log:       s.log,
		period:    askPeriod,
		patience:  denialPatience,
	}
	return s, nil
}

// Synced is closed when revisions, Services and pods have been listed and published. It stays open while the API server
// denies one of them.
func (s *Source) Synced() <-chan struct{} { return s.synced }

// Run publishes the state and its changes to sink until ctx ends. Then it waits for its goroutines and returns nil. It
// calls sink only from the goroutine that called it. Failures of the API server don't make it return. It may be called
// once.
func (s *Source) Run(ctx context.Context, sink activator.Sink) error {
	ctx = logged(ctx, s.log)
	var running sync.WaitGroup
	for _, w := range s.watchers {
		running.Go(func() { w.run(ctx) })
	}
	running.Go(func() { s.pods.run(ctx) })
	(&publisher{table: s.table, sink: sink}).run(ctx, s.synced)
	running.Wait()
	s.clients.close()
	return nil
}
