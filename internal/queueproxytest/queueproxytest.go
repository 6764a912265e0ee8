// Package queueproxytest runs queue-proxies in tests of the packages around them.
package queueproxytest

import (
	"cmp"
	"context"
	"testing"
	"time"

	"github.com/sluice-proxy/sluice/proxy"
	"github.com/sluice-proxy/sluice/proxy/proxytest"
	"github.com/sluice-proxy/sluice/queueproxy"
)

// Run runs a queue-proxy until the test ends, and fails the test if the queue-proxy returns an error. By default its revision
// is default/hello-00001, it listens on free ports of the loopback, and a drain ends once no request is in flight.
func Run(t testing.TB, c queueproxy.Config) queueproxy.Addrs {
	t.Helper()
	c.Identity = cmp.Or(c.Identity, queueproxy.Identity{Namespace: "default", Revision: "hello-00001", Pod: "pod-1"})
	for _, addr := range []*string{&c.Addrs.Serve, &c.Addrs.TLS, &c.Addrs.Admin, &c.Addrs.Stats, &c.Addrs.Metrics} {
		*addr = cmp.Or(*addr, "127.0.0.1:0")
	}
	c.DrainQuiet, c.DrainIdle = cmp.Or(c.DrainQuiet, time.Millisecond), cmp.Or(c.DrainIdle, time.Millisecond)
	p, err := queueproxy.New(c, nil)
	if err != nil {
		t.Fatal(err)
	}
	if err := p.Listen(); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	ran := make(chan error, 1)
	go func() { ran <- p.Run(ctx) }()
	t.Cleanup(func() {
		cancel()
		if err := <-ran; err != nil {
			t.Error(err)
		}
	})
	return p.Addrs()
}

// Config returns the configuration of a queue-proxy in front of the app of s, for proxytest's table.
func Config(s proxytest.Setting) queueproxy.Config {
	return queueproxy.Config{
		UserAddr:             s.App,
		ContainerConcurrency: s.Limit,
		Timeouts:             s.Timeouts,
		RequestMetrics:       queueproxy.MetricsPrometheus,
		WrapPolicy:           func(p proxy.Policy) proxy.Policy { return butProbes{own: p, watched: s.Watch(p)} },
		GracePeriod:          10 * time.Second,
	}
}

// butProbes passes probes to own and all other requests to watched.
type butProbes struct{ own, watched proxy.Policy }

func (p butProbes) Begin(req *proxy.Request) proxy.Exchange {
	if queueproxy.IsProbe(req.Header) {
		return p.own.Begin(req)
	}
	return p.watched.Begin(req)
}
