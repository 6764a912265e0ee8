package main

import (
	"context"
	"errors"
	"os"
	"sync"
	"time"

	"github.com/sluice-proxy/sluice/activator"
	"github.com/sluice-proxy/sluice/internal/knative"
	"github.com/sluice-proxy/sluice/internal/kube"
	"github.com/sluice-proxy/sluice/internal/podtls"
	"go.uber.org/zap"
	"golang.org/x/sync/errgroup"
	"k8s.io/client-go/rest"
)

// cluster follows the ConfigMaps, Secrets and trust bundles of the system namespace, and runs the activator by them.
type cluster struct {
	o        options
	log      liveLog
	observed *observed
	certs    *podtls.Store
	system   *kube.System
	host     string        // the API server
	changed  chan struct{} // capacity 1: an object of the system namespace has changed

	mu         sync.Mutex
	network    network // config-network's settings, as of the start
	networkErr error   // why they can't be used
	started    bool    // network does not change any more
	release    release
	secrets    map[string]map[string][]byte
	secretName string        // the Secret that is used
	secretErr  error         // why it can't be used
	oldSecret  chan struct{} // closed once config-network has had internal-encryption
}

// release is the release of Knative that is installed.
type release struct {
	knative.Release
	from string // the flag or the ConfigMap that names it
}

func newCluster(o options, api *rest.Config, ob *observed, log liveLog) (*cluster, error) {
	c := &cluster{
		o: o, log: log, observed: ob, certs: podtls.New(o.tls), host: api.Host, changed: make(chan struct{}, 1),
		secrets: map[string]map[string][]byte{}, oldSecret: make(chan struct{}),
	}
	var err error
	c.system, err = kube.NewSystem(kube.SystemConfig{
		REST: api, Namespace: o.namespace, Log: log.Logger,
		ConfigMaps:  []string{o.loggingMap, o.observability, networkMap, tracingMap},
		Secrets:     []kube.SecretWatch{{Name: podtls.SecretName}, {Name: podtls.OldSecretName, From: c.oldSecret}},
		OnConfigMap: c.onConfigMap, OnSecret: c.onSecret, OnTrustBundles: c.onTrustBundles,
	})
	return c, err
}

// run watches the system namespace, starts the activator once its configuration is complete, and returns when it has ended.
func (c *cluster) run(ctx context.Context, signals <-chan os.Signal, api *rest.Config, p *ports) error {
	watching, cancel := context.WithCancel(ctx)
	g, life := errgroup.WithContext(watching)
	g.Go(func() error { return c.system.Run(life) })
	err := func() error {
		defer cancel()
		var n network
		for begun := false; !begun; n, begun = c.start() {
			if !c.await(life, signals, p) {
				return nil
			}
		}
		s, err := c.compose(n, api, p)
		if err != nil {
			return err
		}
		g.Go(func() error { c.logReady(life, s.activator); return nil })
		return s.serve(life, signals)
	}()
	return errors.Join(err, g.Wait())
}

// firstReport is how long a wait lasts before its reason is logged, and reportInterval the time between repetitions.
const (
	firstReport    = time.Second
	reportInterval = time.Minute
)

// await blocks until the activator can start, and answers on the ports for requests meanwhile. It returns false after a
// signal, or when ctx has ended.
func (c *cluster) await(ctx context.Context, signals <-chan os.Signal, p *ports) bool {
	startup := openStartupServer(p.requests, c.notReadyReason())
	defer startup.close()
	logged, timer := "", time.NewTimer(firstReport)
	defer timer.Stop()
	synced := c.system.Synced()
	for {
		why := c.notReadyReason()
		if why == "" {
			return true
		}
		startup.setReason(why)
		select {
		case <-synced:
			synced = nil
		case <-c.changed:
			if logged != "" && logged != why {
				timer.Reset(firstReport)
			}
		case <-timer.C:
			logged = why
			c.log.Warn("not ready yet", zap.String("reason", why))
			timer.Reset(reportInterval)
		case sig := <-signals:
			c.log.Info("ending", zap.Stringer("signal", sig))
			return false
		case <-ctx.Done():
			return false
		}
	}
}

// start returns the network's settings and fixes them. It returns false if, since await, they have become unusable.
func (c *cluster) start() (network, bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.notReadyReasonLocked() != "" {
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

// compose makes a server with the settings of the cluster.
func (c *cluster) compose(n network, api *rest.Config, p *ports) (*server, error) {
	source, err := kube.New(kube.Config{
		REST: api, SystemNamespace: c.o.namespace, NoTimeouts: !c.release.ActivatorTimeouts(), Log: c.log.Logger,
	})
	if err != nil {
		return nil, err
	}
	reviewer, err := kube.NewReviewer(api)
	if err != nil {
		return nil, err
	}
	config := activator.Config{
		Registerer: c.observed.registry, WrapPolicy: c.observed.telemetry.Wrap, MeshMode: n.mesh, Passthrough: n.passthrough,
		Identify: reviewer.Identify, PeerPort: c.o.http1,
	}
	if n.tls {
		config.PodTLS = c.certs.Client
		if err := p.openTLS(c.o.tlsPort); err != nil {
			return nil, err
		}
	}
	o := c.o
	o.classicMetrics = o.classicMetrics || c.observed.classic.Load()
	s, err := compose(o, config, source, p, c.log.Logger)
	if err != nil {
		return nil, err
	}
	s.tls = c.certs.Server()
	c.observed.activator.Store(s.activator)
	return s, nil
}

// logReady blocks until the activator is ready, which it logs, or ctx has ended. Meanwhile it logs why the activator isn't ready.
func (c *cluster) logReady(ctx context.Context, a *activator.Activator) {
	began := time.Now()
	for wait := firstReport; ; wait = reportInterval {
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
	c.notify()
}

// onRelease reads the release from the labels of a ConfigMap, unless -knative-release sets it. Labels of CRDs and Deployments
// are out of reach: the stock ClusterRole of an activator grants only ConfigMaps of this namespace.
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
		c.log.Warn("Knative's release has changed to one in which Revisions' timeouts mean something else; the change takes effect "+
			"at the next start of the activator", zap.Stringer("release", r), zap.Stringer("before", c.release))
	}
	if !c.started {
		c.release = r
		_ = c.useSecretLocked() // notReadyReasonLocked reports it
	}
}

// onNetwork keeps the settings to start with. After the start it only logs a change, since most of the settings can't
// change while requests are served.
func (c *cluster) onNetwork(data map[string]string) {
	n, err := parseNetwork(data)
	c.mu.Lock()
	defer c.mu.Unlock()
	switch {
	case !c.started:
		c.network, c.networkErr = n, err
		if n.older {
			c.watchOldSecret()
		}
		_ = c.useSecretLocked() // notReadyReasonLocked reports it
		if data == nil {
			c.log.Warn("there is no ConfigMap " + networkMap + "; its defaults are used")
		}
	case err != nil:
		c.log.Error("config-network can't be used; the settings read before stay in effect", zap.Error(err))
	case n != c.network:
		c.log.Warn("config-network has changed; the change takes effect at the next start of the activator")
	}
}

func (c *cluster) onSecret(name string, data map[string][]byte) {
	c.mu.Lock()
	c.secrets[name] = data
	err := c.useSecretLocked()
	used := name == c.secretName
	c.mu.Unlock()
	if used {
		c.logCertificates("the activator's certificate", err)
	}
	c.notify()
}

// watchOldSecret starts the watch of internal-encryption's Secret, once.
func (c *cluster) watchOldSecret() {
	select {
	case <-c.oldSecret:
	default:
		close(c.oldSecret)
	}
}

// useSecretLocked uses the certificate and the roots of the Secret that belongs to the release. If the release isn't known,
// internal-encryption may have its own Secret, as up to 1.11, or be the older name of system-internal-tls: then the Secret
// that exists is used.
func (c *cluster) useSecretLocked() error {
	if !c.started {
		c.secretName = podtls.SecretName
		found := c.secrets[podtls.SecretName] == nil && c.secrets[podtls.OldSecretName] != nil
		if c.network.older && (c.release.InternalEncryption() || c.release.Release == 0 && found) {
			c.secretName = podtls.OldSecretName
		}
	}
	c.secretErr = c.certs.SetSecret(c.secretName, c.secrets[c.secretName])
	return c.secretErr
}

func (c *cluster) onTrustBundles(pems [][]byte) {
	c.logCertificates("trust bundles", c.certs.SetTrustBundles(pems))
}

// logCertificates logs that certificates have been read, or err, if the activator uses TLS.
func (c *cluster) logCertificates(what string, err error) {
	c.mu.Lock()
	used := c.started && c.network.tls
	c.mu.Unlock()
	switch {
	case used && err != nil:
		c.log.Error(what+" can't be used; the previous certificates stay in use", zap.Error(err))
	case used:
		c.log.Info(what + " read")
	}
	c.notify()
}

func (c *cluster) notify() {
	select {
	case c.changed <- struct{}{}:
	default:
	}
}

// notReadyReason returns the reason why the activator can't start yet, or "".
func (c *cluster) notReadyReason() string {
	select {
	case <-c.system.Synced():
	default:
		return "ConfigMaps and Secrets of namespace " + c.o.namespace + " have not been read yet from the API server at " + c.host
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.notReadyReasonLocked()
}

func (c *cluster) notReadyReasonLocked() string {
	if c.networkErr != nil {
		return c.networkErr.Error()
	}
	if missing := c.certs.Missing(); c.network.tls && missing != "" {
		why := c.network.tlsKey() + " is on, and namespace " + c.o.namespace + " lacks " + missing
		if c.secretErr != nil {
			why += ": " + c.secretErr.Error()
		}
		return why
	}
	return ""
}
