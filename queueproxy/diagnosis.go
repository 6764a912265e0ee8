package queueproxy

import (
	"context"
	"errors"
	"io"
	"net"
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"

	"go.uber.org/zap"

	"github.com/sluice-proxy/sluice/internal/logpace"
	"github.com/sluice-proxy/sluice/proxy"
)

// cause is why the app can't serve requests. The list is closed: logs and metrics use the same words, and
// docs/operations.md describes what to do about each.
type cause string

const (
	starting     cause = "starting"      // it doesn't listen yet
	otherAddress cause = "other_address" // it listens on another address of this port
	otherPort    cause = "other_port"    // it seems to listen on another port
	stopped      cause = "stopped"       // it has been up, and doesn't listen any more
	probeFailed  cause = "probe_failed"  // it listens, and its readiness probe fails
	noCertFound  cause = "certificate"   // the pod has no usable certificate yet
	atLimit      cause = "full"          // it has as many requests in progress as it may have
	noAnswer     cause = "no_answer"     // it read a request and closed the connection without a response
	badAnswer    cause = "bad_answer"    // its response is not HTTP, or another version of HTTP
)

const (
	// maxAge is for how long a diagnosis is reused: a thousand requests a second may fail.
	maxAge = time.Second
	// startTime is how long an app may take to start before that is logged.
	startTime = time.Second
	// lookTimeout bounds the dial that checks whether the app listens; on the loopback interface the result is immediate.
	lookTimeout = 100 * time.Millisecond
	// maxListed bounds how many addresses a sentence names.
	maxListed = 5
)

// diagnosis finds out why the app can't serve requests, for the log, metrics and error responses.
type diagnosis struct {
	readiness *readiness
	log       *zap.Logger
	count     func(cause)             // nil: causes aren't counted
	others    func() []netip.AddrPort // what other processes of the pod listen on; nil: the pod shares its host's network
	created   time.Time
	pace      logpace.Pace

	looking sync.Mutex // held while the app is looked at, which takes connections to it; taken before mu

	mu sync.Mutex
	observed
	found    time.Time // zero: what was found is out of date
	cause    cause
	sentence string
}

// observed is what probes and requests have shown of the app.
type observed struct {
	up      bool   // the app has been ready
	asked   string // the address that was probed last
	failure string // of its last probe; "" if none has failed since the app was ready
	changes int    // so far
}

func newDiagnosis(c Config, r *readiness) *diagnosis {
	d := &diagnosis{readiness: r, log: zap.NewNop(), created: time.Now(), observed: observed{asked: c.UserAddr}}
	if ip, err := netip.ParseAddr(c.Identity.PodIP); err == nil && !ip.IsLoopback() {
		d.others = listening
	}
	return d
}

// ready notes that the app is ready.
func (d *diagnosis) ready() {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.up = true
	d.changeLocked(d.asked, "")
}

func (d *diagnosis) changeLocked(asked, failure string) {
	d.asked, d.failure, d.found = asked, failure, time.Time{}
	d.changes++
}

// probing notes which address is probed; failed notes that its probe has failed.
func (d *diagnosis) probing(p *prober) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.asked != p.Addr {
		d.changeLocked(p.Addr, "")
	}
}

func (d *diagnosis) failed(p *prober, err error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.changeLocked(p.Addr, "the readiness probe fails: "+p.describe(err))
}

// unready returns why the app isn't ready, for a probe that fails or whose prober has left. It reports nothing while the
// app may still be starting.
func (d *diagnosis) unready() string {
	c, sentence := d.explain("")
	if time.Since(d.created) > startTime {
		d.report(c, sentence)
	}
	return sentence
}

// noResponse reports a request that the app received without sending a valid response.
func (d *diagnosis) noResponse(why proxy.Reason) {
	switch why {
	case proxy.UpstreamClosed:
		d.report(noAnswer, "the app closed the connection of a request without sending a response")
	case proxy.BadResponse:
		d.report(badAnswer, "the app's response is not HTTP, or not of the version of the request")
	}
}

// notListening reports why a connection to addr was refused, and returns it.
func (d *diagnosis) notListening(addr string) string {
	c, sentence := d.explain(addr)
	d.report(c, sentence)
	return sentence
}

// report counts the cause and logs it, at the pace of d.pace.
func (d *diagnosis) report(c cause, sentence string) {
	if d.count != nil {
		d.count(c)
	}
	if others, due := d.pace.Due(); due {
		d.log.Info("the app can't serve requests", zap.String("cause", string(c)), zap.String("why", sentence),
			zap.Int("suppressed", others))
	}
}

// explain returns a diagnosis not older than maxAge of the app at addr; "" is the address that was probed last. It blocks
// while the app is looked at, and nothing else of a diagnosis does.
func (d *diagnosis) explain(addr string) (cause, string) {
	d.looking.Lock()
	defer d.looking.Unlock()
	before, c, sentence := d.recent(addr)
	if c != "" {
		return c, sentence
	}
	c, sentence = d.look(before)
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.observed == before {
		d.found, d.cause, d.sentence = time.Now(), c, sentence
	}
	return c, sentence
}

// recent returns what has been observed of the app at addr, and what was found by that, if it is recent.
func (d *diagnosis) recent(addr string) (o observed, c cause, sentence string) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if addr != "" && addr != d.asked {
		d.changeLocked(addr, "")
	}
	if d.found.IsZero() || time.Since(d.found) > maxAge {
		return d.observed, "", ""
	}
	return d.observed, d.cause, d.sentence
}

func (d *diagnosis) look(o observed) (cause, string) {
	switch listens := d.readiness.listens(o.asked); {
	case listens && o.failure != "":
		return probeFailed, o.failure
	case listens:
		return starting, "the app listens on " + o.asked + ", and hasn't answered its readiness probe yet"
	case o.up:
		return stopped, "the app doesn't listen on " + o.asked + " any more: it has crashed or is restarting"
	}
	age := time.Since(d.created)
	if age > startTime {
		if c, where := d.elsewhere(o.asked); c != "" {
			return c, "the app doesn't listen on " + o.asked + ", but " + where
		}
	}
	return starting, "the app doesn't listen on " + o.asked + " yet, " + age.Truncate(100*time.Millisecond).String() + " after its queue-proxy has started"
}

// elsewhere looks for another address at which the app may listen that doesn't listen at asked.
func (d *diagnosis) elsewhere(asked string) (cause, string) {
	want, ok := loopback(asked)
	if !ok {
		return "", ""
	}
	const hint = "; it should listen on all addresses of the port that $PORT names"
	if d.others != nil {
		var same, ports []string
		for _, l := range d.others() {
			if l.Port() == want.Port() {
				same = append(same, l.String())
			} else if port := strconv.Itoa(int(l.Port())); !ofMesh(l.Port()) && !slices.Contains(ports, port) {
				ports = append(ports, port)
			}
		}
		switch {
		case len(same) > 0:
			return otherAddress, "on " + listed(same) + hint
		case len(ports) > 0:
			return otherPort, "in its pod something listens on port " + listed(ports) + hint
		}
		return "", ""
	}
	other := netip.AddrPortFrom(netip.IPv6Loopback(), want.Port())
	if want.Addr().Is6() {
		other = netip.AddrPortFrom(netip.AddrFrom4([4]byte{127, 0, 0, 1}), want.Port())
	}
	if d.readiness.listens(other.String()) {
		return otherAddress, "on " + other.String() + hint
	}
	return "", ""
}

// ofMesh reports whether a service mesh's sidecar uses the port: https://istio.io/latest/docs/ops/deployment/application-requirements/#ports-used-by-istio
// and https://linkerd.io/2/reference/proxy-configuration/.
func ofMesh(port uint16) bool {
	return 15000 <= port && port <= 15099 || slices.Contains([]uint16{4140, 4143, 4190, 4191}, port)
}

func listed(all []string) string {
	if len(all) > maxListed {
		all = append(slices.Clone(all[:maxListed]), "…")
	}
	return strings.Join(all, ", ")
}

// listens reports whether a server accepts connections at addr.
func (r *readiness) listens(addr string) bool {
	ctx, cancel := context.WithTimeout(context.Background(), lookTimeout)
	defer cancel()
	dial := (&net.Dialer{}).DialContext
	if r.dial != nil && addr == r.user {
		dial = r.dial
	}
	c, err := dial(ctx, "tcp", addr)
	if err != nil {
		return errors.Is(err, syscall.ECONNRESET) // the app accepted the connection and closed it at once
	}
	_ = c.Close() // nothing was written
	return true
}

// describe returns what a probe requested and how it failed. It leaves out query and headers, which may hold a password.
func (p *prober) describe(err error) string {
	what := "a connection to " + p.Addr
	switch p.Kind {
	case ProbeNever:
		return err.Error()
	case ProbeHTTP:
		path, _, _ := strings.Cut(p.Target, "?")
		what = "GET " + path + " on " + p.Addr
	case ProbeGRPC:
		what = "a health check by gRPC on " + p.Addr
	}
	switch {
	case errors.Is(err, context.DeadlineExceeded):
		return what + " is not answered within " + p.Timeout.String()
	case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF), errors.Is(err, syscall.ECONNRESET), errors.Is(err, syscall.EPIPE):
		return what + ": the app closed the connection"
	case errors.Is(err, syscall.ECONNREFUSED):
		return what + ": nothing listens there"
	}
	return what + ": " + err.Error()
}
