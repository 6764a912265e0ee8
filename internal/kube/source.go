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
	// REST says where the API server is and who asks it. It is not changed. Required.
	REST *rest.Config
	// SystemNamespace is where activators run: by it they are told from pods in a revision's public endpoints. Required.
	SystemNamespace string
	// Relist is the longest time from one list of each kind to the next, which corrects what a watch may have missed.
	// Default: an hour.
	Relist time.Duration
	// NoTimeouts leaves the timeouts of Revisions out, as up to Knative 1.7, where the queue-proxy alone bounds requests.
	NoTimeouts bool
	// Log may be nil. What may happen often is logged once a minute.
	Log *zap.Logger
}

// Validate reports, joined, every field that can't be used.
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

// Source tells an activator of the revisions of a cluster and their pods. It is an [activator.SyncedSource].
type Source struct {
	clients  *clients
	table    *table
	watchers []*watcher
	pods     *pods
	log      *zap.Logger
	synced   chan struct{}
}

var _ activator.SyncedSource = (*Source)(nil)

// New makes a Source. It asks the API server nothing yet. It fails when c is not valid or its REST has files that can't
// be read.
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

// Synced is closed when revisions, Services and pods have all been listed and told. It stays open while one of them may
// not be watched.
func (s *Source) Synced() <-chan struct{} { return s.synced }

// Run tells sink what is and what changes, until ctx ends; then it returns nil, when all that it started has ended. It
// calls sink from this goroutine alone. No answer of the API server, nor its absence, makes it return. It may be called
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
