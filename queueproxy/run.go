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
	// adminGrace is for answers to be written that end with the drain, such as that of /wait-for-drain.
	adminGrace = 500 * time.Millisecond
)

// service is a server and its listener.
type service struct {
	name     string
	server   server
	listener net.Listener
}

// Listen opens every listener, or none; but without those of metrics and profiles, which it logs, since requests are
// served as well. From then on clients' connections are accepted by the kernel; Run serves them.
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

// openCerts finds out whether there is TLS, and loads the certificate.
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

// wanted lists the servers: requests last, so that a pod that accepts any has everything else in place.
func (p *Proxy) wanted() []wantedService {
	a := p.config.Addrs
	all := []wantedService{
		{name: "admin", addr: a.Admin, server: p.adminServer()},
		{name: "stats", addr: a.Stats, server: smallServer("/metrics", p.scrape, p.serverLog("stats"))},
	}
	if p.policy.collectors != nil && p.config.RequestMetrics != MetricsCollected {
		all = append(all, wantedService{
			name: "metrics", addr: a.Metrics, optional: true,
			server: smallServer("/metrics", p.policy.collectors.handler(), p.serverLog("metrics")),
		})
	}
	if p.config.Profiling {
		all = append(all, wantedService{name: "profiling", addr: a.Profiling, server: profilingServer(p.serverLog("profiling")), optional: true})
	}
	p.requests = p.requestServer()
	if c := p.policy.certs; c != nil {
		all = append(all, wantedService{name: "tls", addr: a.TLS, server: p.requests, tls: c.server(p.config.TLS)})
	}
	return append(all, wantedService{name: "requests", addr: a.Serve, server: p.requests})
}

// Addrs are the addresses that Listen has opened; Off for the others.
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

// Run serves until ctx ends, which stands for SIGTERM, then drains as the contract says and closes everything; that is at
// once when nobody has ever probed it, nothing is in flight and no request has come for a second. It calls Listen unless
// that has been done. It returns nil after a clean end; an error when a listener can't be opened or
// breaks, or when requests had to be cut off because the grace period was over.
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
	running, stop := context.WithCancel(context.Background()) // longer than ctx: while it drains too
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

// drainOut goes on serving until the pod is quiet, stops accepting, and waits for what is in flight.
func (p *Proxy) drainOut() error {
	d := p.policy.drain
	p.startDrain() // never released: there is no way back from SIGTERM
	d.terminate()
	_ = d.untilQuiet(context.Background())
	ctx, cancel := context.WithDeadline(context.Background(), d.deadline())
	defer cancel()
	err := p.requests.Shutdown(ctx)
	if err == nil {
		err = p.handler.Drain(ctx) // upgraded connections, which the server knows nothing of
	}
	if n := p.handler.InFlight(); err != nil && n > 0 {
		return fmt.Errorf("the drain had to end after %v with %d requests in flight", d.limit, n)
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
		_ = s.server.Close() // what it could report nobody can use any more
	}
}

// awaitCut has requests that were cut off end, and be logged, which takes no time; upgraded connections stay.
func (p *Proxy) awaitCut() {
	ctx, cancel := context.WithTimeout(context.Background(), adminGrace/2)
	defer cancel()
	_ = p.handler.Drain(ctx)
}
