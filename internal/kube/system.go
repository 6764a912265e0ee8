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

// SystemConfig of a System. Callbacks may be nil. They are never called concurrently. Their arguments are immutable.
type SystemConfig struct {
	// REST has the address of the API server and the credentials. It is not changed. Required.
	REST *rest.Config
	// Namespace is the system namespace. Required.
	Namespace string
	// ConfigMaps are the names of the ConfigMaps for OnConfigMap.
	ConfigMaps []string
	// Secrets are the Secrets for OnSecret.
	Secrets []SecretWatch
	// OnConfigMap is called with the data of a ConfigMap, nil while none has that name, and its labels.
	OnConfigMap func(name string, data, labels map[string]string)
	// OnSecret is called with the data of a Secret, nil while none has that name.
	OnSecret func(name string, data map[string][]byte)
	// OnTrustBundles is called with the values of all ConfigMaps that are trust bundles
	// (networking.knative.dev/trust-bundle), in the order of their names and keys.
	OnTrustBundles func(pems [][]byte)
	// Relist is the longest time between two lists of a kind. Default: an hour.
	Relist time.Duration
	// Log may be nil. Each message is logged once a minute at most.
	Log *zap.Logger
}

// SecretWatch is a Secret to watch.
type SecretWatch struct {
	Name string
	// From starts the watch when it is closed. Nil: at once. Synced waits only for Secrets without From.
	From <-chan struct{}
}

// Validate returns the errors of all fields, joined.
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

// System publishes the settings and certificates in the system namespace: first the state of each, which may be that it
// is missing, then each change.
type System struct {
	config   SystemConfig
	clients  *clients
	state    *systemState
	watchers []*watcher
	log      *zap.Logger
	synced   chan struct{}
}

// NewSystem returns a System. It makes no request yet. It fails if c is not valid or names files that can't be read.
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
	// One watch serves all ConfigMaps, which are few. Each Secret has a watch by its name: the process should not hold
	// others in memory.
	watch(resource{name: "configmaps", example: &corev1.ConfigMap{}}, configMaps, s.state.readConfigMap)
	for i, w := range c.Secrets {
		byName := fields.OneTermEqualSelector("metadata.name", w.Name).String()
		watch(resource{name: "secrets", fields: byName, example: &corev1.Secret{}}, secrets+kind(i), s.state.readSecret)
	}
	return s, nil
}

// Synced is closed when everything has been published once.
func (s *System) Synced() <-chan struct{} { return s.synced }

// Run calls the callbacks until ctx ends, all from the goroutine that called it. Then it waits for its goroutines and
// returns nil. Failures of the API server don't make it return. It may be called once.
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
	s.publish(ctx)
	running.Wait()
	s.clients.close()
	return nil
}

func (s *System) publish(ctx context.Context) {
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
