package main

import (
	"errors"
	"fmt"
	"net"
	"net/http"
	"strconv"

	"github.com/prometheus/client_golang/prometheus"
	"go.uber.org/zap"
)

// ports are the ports on which the program listens.
type ports struct {
	bind string
	log  *zap.Logger

	requests []net.Listener // without TLS
	tls      net.Listener   // nil without TLS
	admins   []*admin
}

func (p *ports) openForFile(o options, registry *prometheus.Registry) error {
	if err := p.openRequests(o.http1, o.http2); err != nil {
		return err
	}
	if registry != nil {
		if err := p.openAdmin("metrics", o.metricsPort, metricsPage(registry)); err != nil {
			return err
		}
	}
	if o.pprofPort >= 0 {
		return p.openAdmin("profiling", o.pprofPort, profiles(func() bool { return true }))
	}
	return nil
}

// openRequests opens the ports for requests. After an error close closes those that are open.
func (p *ports) openRequests(numbers ...int) error {
	for _, number := range numbers {
		l, err := p.listen("requests", number)
		if err != nil {
			return err
		}
		p.requests = append(p.requests, l)
	}
	return nil
}

func (p *ports) openTLS(number int) (err error) {
	p.tls, err = p.listen("requests over TLS", number)
	return err
}

func (p *ports) openAdmin(what string, number int, h http.Handler) error {
	a, err := openAdmin(what, p.address(number), h, p.log)
	if err != nil {
		return portError(number, err)
	}
	p.admins = append(p.admins, a)
	return nil
}

func (p *ports) listen(what string, number int) (net.Listener, error) {
	l, err := net.Listen("tcp", p.address(number))
	if err != nil {
		return nil, portError(number, err)
	}
	p.log.Info("listening", zap.String("for", what), zap.Stringer("address", l.Addr()))
	return l, nil
}

func (p *ports) address(number int) string { return net.JoinHostPort(p.bind, strconv.Itoa(number)) }

func portError(number int, err error) error {
	return fmt.Errorf("port %d (see -help for the flags that choose ports): %w", number, err)
}

// close closes all ports, in the reverse order of their opening.
func (p *ports) close() error {
	var errs []error
	for _, a := range p.admins {
		errs = append(errs, a.Close())
	}
	if p.tls != nil {
		errs = append(errs, closed(p.tls.Close()))
	}
	for _, l := range p.requests {
		errs = append(errs, closed(l.Close()))
	}
	return errors.Join(errs...)
}

func closed(err error) error {
	if errors.Is(err, net.ErrClosed) {
		return nil
	}
	return err
}
