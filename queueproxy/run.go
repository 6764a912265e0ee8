package queueproxy

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"net/http"
	"slices"
	"sync"
	"time"

	"go.uber.org/zap"

	"github.com/sluice-proxy/sluice/proxy"
)

const (
	statsPeriod = time.Second // contract, "Autoscaling stats"
	// adminGrace is the time for writing responses that wait for the end of the drain, such as that of /wait-for-drain.
	adminGrace = 500 * time.Millisecond
)

// service is a server and its listener.
type service struct {
	name     string
	server   server
	listener net.Listener
}

// Listen opens all listeners or none. If those of metrics or profiles fail, it logs that and goes on without them. From
// then on the kernel accepts connections; Run serves them.
func (p *Proxy) Listen() error {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.services != nil {
		return errors.New("queueproxy: Listen was called before")
	}
	if err := p.openCerts(); err != nil {
		return err
	}
	for _, s := range p.wanted() {
		if s.addr == Off {
			continue
		}
		ln, err := net.Listen("tcp", s.addr)
		if err != nil && s.optional {
			p.log.Error("served without "+s.name, zap.Error(err))
			continue
		}
		if err != nil {
			for _, open := range slices.Backward(p.services) {
				_ = open.listener.Close() // it has accepted nothing
			}
			p.services = nil
			return fmt.Errorf("listen for %s: %w", s.name, err)
		}
		if s.tls != nil {
			ln = proxy.NewTLSListener(ln, s.tls)
		}
		p.services = append(p.services, &service{s.name, s.server, ln})
	}
	return nil
}

// openCerts finds out whether TLS is on, and loads the certificate.
func (p *Proxy) openCerts() error {
	if p.config.CertsDir == "" || p.config.Addrs.TLS == Off {
		return nil
	}
	certFile, keyFile, err := mounted(p.config.CertsDir)
	if err != nil {
		return fmt.Errorf("look for a certificate: %w", err)
	}
	if certFile != "" {
		p.policy.certs = newCerts(certFile, keyFile, p.log)
		p.policy.certs.load()
	}
	return nil
}

type wantedService struct {
	name, addr string
	server     server
	tls        *tls.Config // nil: in the clear
	optional   bool
}

// wanted lists the servers. That of requests is last: a pod that accepts requests has all others open.
func (p *Proxy) wanted() []wantedService {
	a := p.config.Addrs
	all := []wantedService{
		{name: "admin", addr: a.Admin, server: p.adminServer()},
		{name: "stats", addr: a.Stats, server: smallServer("/metrics", p.scrape, p.serverLog("stats"))},
	}
	if page := p.config.Pages.Metrics; page != nil && p.policy.collectors != nil && p.config.RequestMetrics != MetricsCollected {
		all = append(all, wantedService{
			name: "metrics", addr: a.Metrics, optional: true,
			server: smallServer("/metrics", page, p.serverLog("metrics")),
		})
	}
	if page := p.config.Pages.Profiles; page != nil && p.config.Profiling {
		all = append(all, wantedService{name: "profiling", addr: a.Profiling, server: profilingServer(page, p.serverLog("profiling")), optional: true})
	}
	p.requests = p.requestServer()
	if c := p.policy.certs; c != nil {
		all = append(all, wantedService{name: "tls", addr: a.TLS, server: p.requests, tls: c.server(p.config.TLS)})
	}
	return append(all, wantedService{name: "requests", addr: a.Serve, server: p.requests})
}

// Addrs returns the addresses that Listen has opened; Off for the others.
func (p *Proxy) Addrs() Addrs {
	p.mu.Lock()
	defer p.mu.Unlock()
	of := func(name string) string {
		for _, s := range p.services {
			if s.name == name {
				return s.listener.Addr().String()
			}
		}
		return Off
	}
	return Addrs{of("requests"), of("admin"), of("stats"), of("metrics"), of("profiling"), of("tls")}
}

// Run serves until ctx ends, which stands for SIGTERM. Then it drains (contract, "Draining") and closes everything; a pod
// that has never been probed doesn't drain if it is idle and no request has arrived for a second. Run calls Listen
// unless the caller has. It returns an error if a listener can't be opened or fails, or if requests had to be cut off
// because the grace period was over.
func (p *Proxy) Run(ctx context.Context) error {
	p.mu.Lock()
	listening := p.services != nil
	p.mu.Unlock()
	if !listening {
		if err := p.Listen(); err != nil {
			return errors.Join(err, p.Close())
		}
	}
	var background sync.WaitGroup
	failed := make(chan error, len(p.services))
	for _, s := range p.services {
		background.Go(func() {
			if err := s.server.Serve(s.listener); !errors.Is(err, http.ErrServerClosed) {
				failed <- fmt.Errorf("serve %s: %w", s.name, err)
			}
		})
	}
	running, stop := context.WithCancel(context.Background()) // not of ctx: these go on during the drain
	defer stop()
	background.Go(func() { p.measureUntil(running.Done()) })
	if addr, ok := p.announced(); ok {
		background.Go(func() { p.announce(ctx, addr) })
	}
	if c := p.policy.certs; c != nil {
		background.Go(func() { c.watch(running) })
	}

	var err error
	select {
	case <-ctx.Done():
		err = p.drainOut()
	case err = <-failed:
	}
	p.closeServices()
	if err != nil {
		p.awaitCut()
	}
	stop()
	background.Wait()
	return errors.Join(err, p.Close())
}

func (p *Proxy) measureUntil(done <-chan struct{}) {
	t := time.NewTicker(statsPeriod)
	defer t.Stop()
	for {
		select {
		case <-t.C:
			p.measure(time.Now())
		case <-done:
			return
		}
	}
}

// drainOut serves until the pod is quiet, then closes the listeners and waits for the requests in flight.
func (p *Proxy) drainOut() error {
	d := p.policy.drain
	p.startDrain() // never released: a drain by SIGTERM is final
	d.terminate()
	_ = d.untilQuiet(context.Background())
	ctx, cancel := context.WithDeadline(context.Background(), d.deadline())
	defer cancel()
	err := p.requests.Shutdown(ctx)
	if err == nil {
		err = p.handler.Drain(ctx) // upgraded connections, which Shutdown doesn't wait for
	}
	if n := p.handler.InFlight(); err != nil && n > 0 {
		return fmt.Errorf("the drain ended after %v, its limit, with %d requests in flight", d.limit, n)
	}
	return nil
}

// closeServices closes in the reverse order of opening.
func (p *Proxy) closeServices() {
	ctx, cancel := context.WithTimeout(context.Background(), adminGrace)
	defer cancel()
	for _, s := range slices.Backward(p.services) {
		if s.name == "admin" {
			_ = s.server.Shutdown(ctx) // Close follows
		}
		_ = s.server.Close() // an error has no consequence any more
	}
}

// awaitCut waits briefly until requests that were cut off have ended and been logged. It may leave upgraded connections.
func (p *Proxy) awaitCut() {
	ctx, cancel := context.WithTimeout(context.Background(), adminGrace/2)
	defer cancel()
	_ = p.handler.Drain(ctx)
}
