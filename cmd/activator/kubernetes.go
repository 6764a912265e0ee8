package main

import (
	"context"
	"fmt"
	"io"
	"os"
	"path/filepath"

	"github.com/go-logr/zapr"
	"github.com/sluice-proxy/sluice/internal/logging"
	"github.com/sluice-proxy/sluice/internal/program"
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
	klog.SetLogger(zapr.NewLogger(log.Named("client-go"))) // for client-go's lines outside of any context
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

// restConfig is the configuration of clients of Kubernetes: from -kubeconfig, else from $KUBECONFIG, else the pod's own.
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
		return nil, fmt.Errorf("configuration of the Kubernetes client: %w", err)
	}
	c.UserAgent = "sluice-activator/" + program.Version()
	return c, nil
}
