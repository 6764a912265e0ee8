package kube

import (
	"context"
	"errors"
	"sync"
	"time"

	"go.uber.org/zap"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/fields"
	"k8s.io/client-go/rest"
)

// SystemConfig of a System. Callbacks may be nil. They are called one after another, and get what they don't share with
// anybody who changes it; they must not change it either.
type SystemConfig struct {
	// REST says where the API server is and who asks it. It is not changed. Required.
	REST *rest.Config
	// Namespace is the system namespace. Required.
	Namespace string
	// ConfigMaps are the names of those that OnConfigMap is told of.
	ConfigMaps []string
	// Secrets are those that OnSecret is told of.
	Secrets []SecretWatch
	// OnConfigMap gets the data of a ConfigMap, nil while there is none of that name, and its labels.
	OnConfigMap func(name string, data, labels map[string]string)
	// OnSecret gets the data of a Secret, nil while there is none of that name.
	OnSecret func(name string, data map[string][]byte)
	// OnTrustBundles gets the values of all ConfigMaps that are trust bundles (networking.knative.dev/trust-bundle), in
	// the order of their names and keys.
	OnTrustBundles func(pems [][]byte)
	// Relist is the longest time from one list to the next. Default: an hour.
	Relist time.Duration
	// Log may be nil. What may happen often is logged once a minute.
	Log *zap.Logger
}

// SecretWatch is a Secret to watch.
type SecretWatch struct {
	Name string
	// From is closed when it is to be watched. Nil: at once; Synced waits for those alone.
	From <-chan struct{}
}

// Validate reports, joined, every field that can't be used.
func (c SystemConfig) Validate() error {
	var errs []error
	if c.REST == nil {
		errs = append(errs, errors.New("field REST: missing"))
	}
	if c.Namespace == "" {
		errs = append(errs, errors.New("field Namespace: missing"))
	}
	if c.Relist < 0 {
		errs = append(errs, errors.New("field Relist: should not be negative"))
	}
	return errors.Join(errs...)
}

// System tells of the settings and certificates in the system namespace: first of each what it is, or that it is
// missing, then of each change.
type System struct {
	config   SystemConfig
	clients  *clients
	state    *systemState
	watchers []*watcher
	log      *zap.Logger
	synced   chan struct{}
}

// NewSystem makes a System. It asks the API server nothing yet. It fails when c is not valid or its REST has files that
// can't be read.
func NewSystem(c SystemConfig) (*System, error) {
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
	s := &System{config: c, clients: all, state: newSystemState(c), log: seldom(c.Log), synced: make(chan struct{})}
	watch := func(r resource, k kind, read func(any) item) {
		r.client, r.namespace = all.core, c.Namespace
		s.watchers = append(s.watchers, newWatcher(r, &store{k, read, s.state}, c.Relist, s.log))
	}
	// One watch for the few ConfigMaps there are, by name or by label, and one for each Secret by its name, since others
	// are nothing to have in memory.
	watch(resource{name: "configmaps", example: &corev1.ConfigMap{}}, configMaps, s.state.readConfigMap)
	for i, w := range c.Secrets {
		byName := fields.OneTermEqualSelector("metadata.name", w.Name).String()
		watch(resource{name: "secrets", fields: byName, example: &corev1.Secret{}}, secrets+kind(i), s.state.readSecret)
	}
	return s, nil
}

// Synced is closed when everything has been told once.
func (s *System) Synced() <-chan struct{} { return s.synced }

// Run tells until ctx ends; then it returns nil, when all that it started has ended. It calls the callbacks from this
// goroutine alone. No answer of the API server, nor its absence, makes it return. It may be called once.
func (s *System) Run(ctx context.Context) error {
	ctx = logged(ctx, s.log)
	var running sync.WaitGroup
	for i, w := range s.watchers {
		var from <-chan struct{}
		if i > 0 {
			from = s.config.Secrets[i-1].From
		}
		running.Go(func() {
			if from != nil {
				select {
				case <-from:
				case <-ctx.Done():
					return
				}
			}
			w.run(ctx)
		})
	}
	s.tell(ctx)
	running.Wait()
	s.clients.close()
	return nil
}

func (s *System) tell(ctx context.Context) {
	done := false
	for {
		select {
		case <-ctx.Done():
			return
		case <-s.state.changed:
		}
		calls, listed := s.state.take()
		for _, call := range calls {
			call()
		}
		if listed && !done {
			close(s.synced)
			done = true
		}
	}
}
