package main

import (
	"context"
	"os"
	"sync"
	"time"

	"github.com/sluice-proxy/sluice/activator"
	"github.com/sluice-proxy/sluice/internal/knative"
	"github.com/sluice-proxy/sluice/internal/kube"
	"github.com/sluice-proxy/sluice/internal/podtls"
	"go.uber.org/zap"
	"k8s.io/client-go/rest"
)

// cluster is what the system namespace says of how to run, as it changes.
type cluster struct {
	o        options
	log      liveLog
	observed *observed
	keeper   *podtls.Keeper
	system   *kube.System
	host     string        // the API server
	changed  chan struct{} // capacity 1: something was told

	mu      sync.Mutex
	network network // what config-network said at the start
	wrong   error   // with it
	started bool    // network does not change any more
	release release // Knative's
	secrets map[string]map[string][]byte
	using   string        // the name of the one that is used
	secret  error         // what can't be used of it
	older   chan struct{} // closed when config-network has had internal-encryption
}

// release is the one that is installed, and where that is from.
type release struct {
	knative.Release
	from string
}

func newCluster(o options, api *rest.Config, ob *observed, log liveLog) (*cluster, error) {
	c := &cluster{
		o: o, log: log, observed: ob, keeper: podtls.New(o.tls), host: api.Host, changed: make(chan struct{}, 1),
		secrets: map[string]map[string][]byte{}, older: make(chan struct{}),
	}
	var err error
	c.system, err = kube.NewSystem(kube.SystemConfig{
		REST: api, Namespace: o.namespace, Log: log.Logger,
		ConfigMaps:  []string{o.loggingMap, o.observability, networkMap, tracingMap},
		Secrets:     []kube.SecretWatch{{Name: podtls.SecretName}, {Name: podtls.OldSecretName, From: c.older}},
		OnConfigMap: c.onConfigMap, OnSecret: c.onSecret, OnTrustBundles: c.onTrustBundles,
	})
	return c, err
}

func (c *cluster) onConfigMap(name string, data, labels map[string]string) {
	switch name {
	case c.o.loggingMap:
		c.onRelease(name, labels)
		c.log.set(data)
	case c.o.observability:
		c.onRelease(name, labels)
		c.observed.set(data)
	case tracingMap:
		c.observed.setOlderTracing(data)
	case networkMap:
		c.onNetwork(data)
	}
	c.poke()
}

// onRelease keeps what the labels of a ConfigMap say of the release, unless it was told. They are what any activator may
// read: the stock ClusterRole has ConfigMaps of this namespace, and nothing of CRDs or Deployments.
func (c *cluster) onRelease(name string, labels map[string]string) {
	r := release{knative.ReleaseOf(labels), "labels of ConfigMap " + name}
	if c.o.release != 0 {
		r = release{c.o.release, "-knative-release"}
	}
	if r.Release == 0 {
		return
	}
	c.observed.release = r.Release
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.started && r.ActivatorTimeouts() != c.release.ActivatorTimeouts() {
		c.log.Warn("Knative's release has changed to one in which Revisions' timeouts mean something else, which takes effect at "+
			"the next start of the activator", zap.Stringer("release", r), zap.Stringer("before", c.release))
	}
	if !c.started {
		c.release = r
		_ = c.useSecretLocked() // told by lackLocked
	}
}

// onNetwork keeps what the program is to start with. Later it only tells, as most of it can't change under requests.
func (c *cluster) onNetwork(data map[string]string) {
	n, err := parseNetwork(data)
	c.mu.Lock()
	defer c.mu.Unlock()
	switch {
	case !c.started:
		c.network, c.wrong = n, err
		if n.older {
			c.watchOlder()
		}
		_ = c.useSecretLocked() // told by lackLocked
		if data == nil {
			c.log.Warn("there is no ConfigMap " + networkMap + "; its defaults hold")
		}
	case err != nil:
		c.log.Error("the network's settings stay as they are", zap.Error(err))
	case n != c.network:
		c.log.Warn("config-network has changed, which takes effect at the next start of the activator")
	}
}

func (c *cluster) onSecret(name string, data map[string][]byte) {
	c.mu.Lock()
	c.secrets[name] = data
	err := c.useSecretLocked()
	used := name == c.using
	c.mu.Unlock()
	if used {
		c.onCertificates("the activator's certificate", err)
	}
	c.poke()
}

// watchOlder has the Secret of internal-encryption watched.
func (c *cluster) watchOlder() {
	select {
	case <-c.older:
	default:
		close(c.older)
	}
}

// useSecretLocked takes the certificate and the roots of the Secret that the release has. Where it isn't known which that
// is, internal-encryption may be the older name of system-internal-tls, or what it was up to 1.11: then it is whichever
// Secret is there.
func (c *cluster) useSecretLocked() error {
	if !c.started {
		c.using = podtls.SecretName
		found := c.secrets[podtls.SecretName] == nil && c.secrets[podtls.OldSecretName] != nil
		if c.network.older && (c.release.InternalEncryption() || c.release.Release == 0 && found) {
			c.using = podtls.OldSecretName
		}
	}
	c.secret = c.keeper.SetSecret(c.using, c.secrets[c.using])
	return c.secret
}

func (c *cluster) onTrustBundles(pems [][]byte) {
	c.onCertificates("trust bundles", c.keeper.SetTrustBundles(pems))
}

// onCertificates tells of them if they are in use.
func (c *cluster) onCertificates(what string, err error) {
	c.mu.Lock()
	used := c.started && c.network.tls
	c.mu.Unlock()
	switch {
	case used && err != nil:
		c.log.Error(what+" can't be used; what was stays", zap.Error(err))
	case used:
		c.log.Info(what + " read")
	}
	c.poke()
}

func (c *cluster) poke() {
	select {
	case c.changed <- struct{}{}:
	default:
	}
}

// lack says what the program needs before it can begin, or "".
func (c *cluster) lack() string {
	select {
	case <-c.system.Synced():
	default:
		return "ConfigMaps and Secrets of namespace " + c.o.namespace + " have not been read yet from the API server at " + c.host
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.lackLocked()
}

func (c *cluster) lackLocked() string {
	if c.wrong != nil {
		return c.wrong.Error()
	}
	if missing := c.keeper.Missing(); c.network.tls && missing != "" {
		why := c.network.tlsKey() + " is on, and namespace " + c.o.namespace + " lacks " + missing
		if c.secret != nil {
			why += ": " + c.secret.Error()
		}
		return why
	}
	return ""
}

// patience is how long to wait before saying what for, and sayAgain how often to say it then.
const (
	patience = time.Second
	sayAgain = time.Minute
)

// await blocks until the program can begin, and answers on its ports meanwhile. It returns false when it is to end.
func (c *cluster) await(ctx context.Context, signals <-chan os.Signal, p *ports) bool {
	room := openWaitingRoom(p.requests, c.lack())
	defer room.leave()
	said, timer := "", time.NewTimer(patience)
	defer timer.Stop()
	synced := c.system.Synced()
	for {
		why := c.lack()
		if why == "" {
			return true
		}
		room.because(why)
		select {
		case <-synced:
			synced = nil
		case <-c.changed:
			if said != "" && said != why {
				timer.Reset(patience)
			}
		case <-timer.C:
			said = why
			c.log.Warn("not ready yet", zap.String("reason", why))
			timer.Reset(sayAgain)
		case sig := <-signals:
			c.log.Info("ending", zap.Stringer("signal", sig))
			return false
		case <-ctx.Done():
			return false
		}
	}
}

// tellReady blocks until the activator is ready, and says so, or that it isn't.
func (c *cluster) tellReady(ctx context.Context, a *activator.Activator) {
	began := time.Now()
	for wait := patience; ; wait = sayAgain {
		soon, cancel := context.WithTimeout(ctx, wait)
		err := a.Ready(soon)
		cancel()
		switch {
		case err == nil:
			c.log.Info("ready", zap.Duration("syncTime", time.Since(began)))
			return
		case ctx.Err() != nil:
			return
		}
		c.log.Warn("not ready yet", zap.String("reason", "revisions and pods have not been read yet from the API server at "+c.host))
	}
}

// start returns the network's settings, which are kept from then on; false: they have changed since await, for the worse.
func (c *cluster) start() (network, bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.lackLocked() != "" {
		return network{}, false
	}
	c.started = true
	c.log.Info("network", zap.Stringer("settings", c.network))
	by := "activator and queue-proxy"
	if !c.release.ActivatorTimeouts() {
		by = "the queue-proxy alone"
	}
	c.log.Info("Knative", zap.Stringer("release", c.release), zap.String("from", c.release.from), zap.String("timeoutsBy", by))
	return c.network, true
}
