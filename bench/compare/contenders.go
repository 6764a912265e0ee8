package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"github.com/sluice-proxy/sluice/bench/internal/load"
	"github.com/sluice-proxy/sluice/bench/internal/process"
)

// contender is a proxy that takes part.
type contender struct {
	name, what string
	own        bool     // one of this project's
	baseline   string   // the contender that it is a change of
	extra      bool     // takes part only if it is named
	programs   []string // that must be installed
	builds     []build  // that must be built
	queue      int      // requests that can wait for each one of the limit; 0: any number
	noQueue    bool     // can't hold requests beyond a limit
	sameHTTP   bool     // can't forward HTTP/2 as HTTP/1.1
	variant
	start func(s *site, j job) (*stand, error)
}

// job is the configuration of a proxy.
type job struct {
	dir          string // its own directory
	upstream     string // host:port
	protocol     load.Protocol
	app          load.Protocol // in which contenders that must be told send requests to the app
	limit, queue int           // requests for the app at once, and waiting; 0: the contender's own default
	connections  int           // of clients that speak HTTP/2; 0: the contender's own bound is enough
	pods         int           // number of an activator's pods; at least one
	variant
}

// manyPods is the number of pods of an activator whose CPU time is measured.
const manyPods = 1000

// stand is a running contender.
type stand struct {
	addr   string
	proxy  *process.Process
	with   []*process.Process // which are measured with the proxy
	beside []*process.Process // which are not
}

func (s *stand) stop() {
	s.proxy.Stop()
	for _, p := range slices.Concat(s.with, s.beside) {
		p.Stop()
	}
}

// usage is the sum of the processes that are measured.
func (s *stand) usage() (process.Usage, error) {
	sum, err := s.proxy.Usage()
	for _, p := range s.with {
		u, err1 := p.Usage()
		err = errors.Join(err, err1)
		sum.CPU += u.CPU
		sum.Resident += u.Resident
	}
	return sum, err
}

// omits returns the reason why c does not take part in s, or "".
func (c *contender) omits(s *scenario) string {
	if c.noQueue && s.limit < limit100 {
		return "it has no queue for requests beyond a limit"
	}
	if c.sameHTTP && s.nginx && s.protocol == load.HTTP2 {
		return "it forwards HTTP/2 to apps that support it only"
	}
	if waiting := s.clients - s.limit; c.queue > 0 && waiting > c.queue*s.limit {
		return fmt.Sprintf("of %d clients it refuses some: %d can wait at a limit of %d", s.clients, c.queue*s.limit, s.limit)
	}
	return ""
}

func contenders() []*contender {
	return append([]*contender{
		{
			name: "nginx", what: "one worker, kept connections to the app; HTTP/2 from clients only, and gRPC",
			programs: []string{"nginx"}, noQueue: true, start: startNginx,
		},
		{
			name: "haproxy", what: "one thread, kept connections to the app, its server's maxconn as the limit",
			programs: []string{"haproxy"}, start: startHaproxy,
		},
		{
			name: "reverseproxy", what: "httputil.ReverseProxy of Go's standard library, without limit or metrics",
			noQueue: true, start: startReverseProxy,
		},
		{
			name: "nghttpx", what: "nghttp2's, one worker; HTTP/2 to the app if clients use it",
			programs: []string{"nghttpx"}, extra: true, noQueue: true, start: startNghttpx,
		},
	}, append(sluices(), &contender{
		name: "knative", what: "Knative's queue-proxy, built from bench/peers; containerConcurrency 100, accounting and metrics on",
		queue: 10, sameHTTP: true, builds: []build{{"queue", "bench/peers", "knative.dev/serving/cmd/queue"}}, start: startKnative,
	})...)
}

// serve starts a program that listens on a loopback port, with the variables of peers.
func (s *site) serve(name, path string, j job, args ...string) (*stand, error) {
	port, err := process.FreePort()
	if err != nil {
		return nil, err
	}
	return s.serveOn(port, process.Command{Name: name, Path: path, Args: args, Env: j.environment(port), Dir: j.dir})
}

func (s *site) serveOn(port int, c process.Command) (*stand, error) {
	p, err := process.Start(c)
	if err != nil {
		return nil, err
	}
	return &stand{addr: local(port), proxy: p}, nil
}

func local(port int) string { return "127.0.0.1:" + strconv.Itoa(port) }

// environment has the variables that doc.go promises to peers.
func (j job) environment(port int) []string {
	_, upstreamPort, _ := strings.Cut(j.upstream, ":")
	return append(os.Environ(),
		"LISTEN="+local(port), "LISTEN_PORT="+strconv.Itoa(port), "UPSTREAM="+j.upstream, "UPSTREAM_PORT="+upstreamPort,
		"PROTOCOL="+string(j.protocol), "UPSTREAM_PROTOCOL="+string(j.app), "LIMIT="+strconv.Itoa(j.limit), "QUEUE="+strconv.Itoa(j.queue))
}

// peer parses NAME=COMMAND.
func peer(v string) (*contender, error) {
	name, command, ok := strings.Cut(v, "=")
	if !ok || name == "" || strings.TrimSpace(command) == "" {
		return nil, fmt.Errorf("%q is not NAME=COMMAND", v)
	}
	return &contender{name: name, what: command, start: func(s *site, j job) (*stand, error) {
		return s.serve(filepath.Base(name), "/bin/sh", j, "-c", command)
	}}, nil
}

func startReverseProxy(s *site, j job) (*stand, error) { return s.self("reverseproxy", j) }

// self starts this program in another role.
func (s *site) self(role string, j job) (*stand, error) {
	port, err := process.FreePort()
	if err != nil {
		return nil, err
	}
	env := append(j.environment(port), roleVariable+"="+role)
	return s.serveOn(port, process.Command{Name: role, Path: s.executable, Env: env, Dir: j.dir})
}

// startApp starts the app behind the proxies.
func (s *site) startApp(ctx context.Context, dir string, nginx bool) (*stand, error) {
	j := job{dir: dir, protocol: load.HTTP1}
	var app *stand
	var err error
	if nginx {
		app, err = startNginx(s, j)
	} else {
		app, err = s.self("origin", j)
	}
	if err != nil {
		return nil, err
	}
	if err := app.ready(ctx, load.HTTP1); err != nil {
		app.stop()
		return nil, fmt.Errorf("the app: %w", err)
	}
	return app, nil
}
