package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"

	"github.com/go-logr/zapr"
	"github.com/sluice-proxy/sluice/activator"
	"github.com/sluice-proxy/sluice/internal/kube"
	"github.com/sluice-proxy/sluice/internal/logging"
	"github.com/sluice-proxy/sluice/internal/program"
	"golang.org/x/sync/errgroup"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"
	"k8s.io/klog/v2"
)

// runOnKubernetes runs with the revisions and the settings of a cluster.
func runOnKubernetes(
	ctx context.Context, signals <-chan os.Signal, o options, env func(string) (string, bool), stdout, stderr io.Writer,
) error {
	log := newLiveLog(o.logLevel, stderr, o.podName)
	defer func() { _ = log.Sync() }()
	defer logging.Standard(log.Logger)()
	klog.SetLogger(zapr.NewLogger(log.Named("client-go"))) // what client-go logs outside of any context
	api, err := restConfig(o)
	if err != nil {
		return err
	}
	ob, err := newObserved(o, env, stdout, log.Logger)
	if err != nil {
		return err
	}
	defer ob.telemetry.Close()
	c, err := newCluster(o, api, ob, log)
	if err != nil {
		return err
	}
	p := &ports{bind: o.bind, log: log.Logger}
	defer func() { _ = p.close() }()
	if err := p.openRequests(o.http1, o.http2); err != nil {
		return err
	}
	if o.pprofPort >= 0 {
		if err := p.openAdmin("profiling", o.pprofPort, profiles(ob.profiling.Load)); err != nil {
			return err
		}
	}
	return c.run(ctx, signals, api, p)
}

// run watches the system namespace for as long as the activator runs, which begins when it can.
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
		g.Go(func() error { c.tellReady(life, s.activator); return nil })
		return s.serve(life, signals)
	}()
	return errors.Join(err, g.Wait())
}

// compose makes the server that the settings of the cluster ask for.
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
		config.PodTLS = c.keeper.Client
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
	s.tls = c.keeper.Server()
	c.observed.activator.Store(s.activator)
	return s, nil
}

// restConfig says how to reach it: by the file that was named, by those of $KUBECONFIG, or as a pod does.
func restConfig(o options) (*rest.Config, error) {
	var c *rest.Config
	var err error
	if rules := (clientcmd.ClientConfigLoadingRules{ExplicitPath: o.kubeconfig}); o.kubeconfig != "" || o.kubeconfigs != "" {
		rules.Precedence = filepath.SplitList(o.kubeconfigs)
		c, err = clientcmd.NewNonInteractiveDeferredLoadingClientConfig(&rules, nil).ClientConfig()
	} else {
		c, err = rest.InClusterConfig()
	}
	if err != nil {
		return nil, fmt.Errorf("how to reach Kubernetes: %w", err)
	}
	c.UserAgent = "sluice-activator/" + program.Version()
	return c, nil
}
