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

// cause is why the app can't be served to. The list is closed: the same words stand in logs and metrics, and
// docs/operations.md says what to do about each.
type cause string

const (
	starting     cause = "starting"      // it doesn't listen yet
	otherAddress cause = "other_address" // it listens on another address of this port
	otherPort    cause = "other_port"    // it seems to listen on another port
	stopped      cause = "stopped"       // it has been up, and doesn't listen any more
	probeFailed  cause = "probe_failed"  // it listens, and its readiness probe fails
	noCertFound  cause = "certificate"   // the pod's certificate can't be used yet
	atLimit      cause = "full"          // it has as many requests as it may have
	noAnswer     cause = "no_answer"     // it has taken a request, and closed the connection
	badAnswer    cause = "bad_answer"    // what it answers is no HTTP, or another version of it
)

const (
	// explained is for how long one look at the app is good: it may fail a thousand requests a second.
	explained = time.Second
	// startTime is how long an app may be starting before the log says so.
	startTime = time.Second
	// glance bounds the dial that finds out whether the app listens; on the loopback the answer is there at once.
	glance = 100 * time.Millisecond
	// maxListed bounds how many addresses a sentence names.
	maxListed = 5
)

// ailment finds out what is wrong with the app, for the log, metrics and answers.
type ailment struct {
	readiness *readiness
	log       *zap.Logger
	count     func(cause)             // nil: nobody counts
	others    func() []netip.AddrPort // who else listens in the pod; nil: its network is not its own
	created   time.Time
	pace      logpace.Pace

	mu       sync.Mutex
	up       bool   // it has been ready
	asked    string // the address that was probed last
	failure  string // of its last probe, "" when none has failed since it was ready
	found    time.Time
	cause    cause
	sentence string
}

func newAilment(c Config, r *readiness) *ailment {
	a := &ailment{readiness: r, log: zap.NewNop(), created: time.Now(), asked: c.UserAddr}
	if ip, err := netip.ParseAddr(c.Identity.PodIP); err == nil && !ip.IsLoopback() {
		a.others = listening
	}
	return a
}

// well says that the app is ready.
func (a *ailment) well() {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.up, a.failure, a.found = true, "", time.Time{}
}

// probing says which address is asked, and failed that its probe has failed.
func (a *ailment) probing(p *prober) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.asked != p.Addr {
		a.asked, a.failure, a.found = p.Addr, "", time.Time{}
	}
}

func (a *ailment) failed(p *prober, err error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.asked, a.failure, a.found = p.Addr, "the readiness probe fails: "+p.describe(err), time.Time{}
}

// unready is what is wrong when a probe is answered that the app isn't ready, or its prober has left before. An app that
// has just been started is not ill.
func (a *ailment) unready() string {
	c, sentence := a.explain("")
	if time.Since(a.created) > startTime {
		a.tell(c, sentence)
	}
	return sentence
}

// unanswered tells of a request that the app has got and not answered; its own answer says so, too.
func (a *ailment) unanswered(why proxy.Reason) {
	switch why {
	case proxy.UpstreamClosed:
		a.tell(noAnswer, "the app has closed the connection on which it got a request, without an answer")
	case proxy.BadResponse:
		a.tell(badAnswer, "what the app answers is no HTTP, or not the version that it was asked in")
	}
}

// refuses is what is wrong when a request has found that nobody listens at addr.
func (a *ailment) refuses(addr string) string {
	c, sentence := a.explain(addr)
	a.tell(c, sentence)
	return sentence
}

// tell counts, and writes a line of the log if it is time for one.
func (a *ailment) tell(c cause, sentence string) {
	if a.count != nil {
		a.count(c)
	}
	if others, due := a.pace.Due(); due {
		a.log.Info("the app can't be served to", zap.String("cause", string(c)), zap.String("why", sentence),
			zap.Int("suppressed", others))
	}
}

// explain looks at the app, unless that has just been done; at addr, or where it was probed last.
func (a *ailment) explain(addr string) (cause, string) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if addr != "" && addr != a.asked {
		a.asked, a.failure, a.found = addr, "", time.Time{}
	}
	if a.found.IsZero() || time.Since(a.found) > explained {
		a.cause, a.sentence = a.lookLocked()
		a.found = time.Now()
	}
	return a.cause, a.sentence
}

func (a *ailment) lookLocked() (cause, string) {
	switch listens := a.readiness.listens(a.asked); {
	case listens && a.failure != "":
		return probeFailed, a.failure
	case listens:
		return starting, "the app listens on " + a.asked + ", and hasn't answered its readiness probe yet"
	case a.up:
		return stopped, "the app doesn't listen on " + a.asked + " any more: it has crashed or is restarting"
	}
	age := time.Since(a.created)
	if age > startTime {
		if c, where := a.elsewhere(); c != "" {
			return c, "the app doesn't listen on " + a.asked + ", but " + where
		}
	}
	return starting, "the app doesn't listen on " + a.asked + " yet, " + age.Truncate(100*time.Millisecond).String() + " after its queue-proxy has started"
}

// elsewhere says where the app may be listening instead.
func (a *ailment) elsewhere() (cause, string) {
	want, ok := loopback(a.asked)
	if !ok {
		return "", ""
	}
	const hint = "; it should listen on all addresses of the port that $PORT names"
	if a.others != nil {
		var same, ports []string
		for _, l := range a.others() {
			if l.Port() == want.Port() {
				same = append(same, l.String())
			} else if port := strconv.Itoa(int(l.Port())); !ofMesh(l.Port()) && !slices.Contains(ports, port) {
				ports = append(ports, port)
			}
		}
		switch {
		case len(same) > 0:
			return otherAddress, "on " + list(same) + hint
		case len(ports) > 0:
			return otherPort, "in its pod something listens on port " + list(ports) + hint
		}
		return "", ""
	}
	other := netip.AddrPortFrom(netip.IPv6Loopback(), want.Port())
	if want.Addr().Is6() {
		other = netip.AddrPortFrom(netip.AddrFrom4([4]byte{127, 0, 0, 1}), want.Port())
	}
	if a.readiness.listens(other.String()) {
		return otherAddress, "on " + other.String() + hint
	}
	return "", ""
}

// ofMesh tells ports of a mesh's sidecar from an app's: https://istio.io/latest/docs/ops/deployment/application-requirements/#ports-used-by-istio
// and https://linkerd.io/2/reference/proxy-configuration/.
func ofMesh(port uint16) bool {
	return 15000 <= port && port <= 15099 || slices.Contains([]uint16{4140, 4143, 4190, 4191}, port)
}

func list(all []string) string {
	if len(all) > maxListed {
		all = append(slices.Clone(all[:maxListed]), "…")
	}
	return strings.Join(all, ", ")
}

// listens says whether somebody accepts connections at addr.
func (r *readiness) listens(addr string) bool {
	ctx, cancel := context.WithTimeout(context.Background(), glance)
	defer cancel()
	dial := (&net.Dialer{}).DialContext
	if r.dial != nil && addr == r.user {
		dial = r.dial
	}
	c, err := dial(ctx, "tcp", addr)
	if err != nil {
		return errors.Is(err, syscall.ECONNRESET) // it was accepted, and closed at once
	}
	_ = c.Close() // it was only to see whether it opens
	return true
}

// describe says what a probe asked and what came of it. The query may hold a password, as headers may.
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
