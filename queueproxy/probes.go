package queueproxy

import (
	"context"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/sluice-proxy/sluice/internal/knative"
	"github.com/sluice-proxy/sluice/proxy"
)

// name is the queue-proxy's name in Proxy-Status.
const name = "sluice-queue-proxy"

// asker is the kind of a probe's client.
type asker uint8

const (
	askedByNone      asker = iota
	askedByKubelet         // kube-probe/
	askedByActivator       // Knative-Activator-Probe: held until the app is ready
	askedByAutoscaler
	askedByIngress // K-Network-Probe with any other User-Agent
)

// askerOf recognises a probe. The User-Agent takes precedence over the header (contract, "Probes").
func askerOf(h proxy.Header) asker {
	agent := h.Get("User-Agent")
	switch {
	case strings.HasPrefix(agent, knative.UserAgentKubelet):
		return askedByKubelet
	case strings.HasPrefix(agent, knative.UserAgentActivator):
		return askedByActivator
	case strings.HasPrefix(agent, knative.UserAgentAutoscaler):
		return askedByAutoscaler
	case h.Get(knative.HeaderProbe) != "":
		return askedByIngress
	}
	return askedByNone
}

// IsProbe reports whether a request with this header is a probe, which the queue-proxy answers itself. h must be the
// header as received: the policy removes fields from it.
func IsProbe(h proxy.Header) bool { return askerOf(h) != askedByNone }

// probe is the exchange of a probe, which the queue-proxy answers itself. Neither limit nor stats count it.
type probe struct {
	proxy.NopExchange
	policy *policy
	asker  asker
	looked *outcome // at the app; nil: not yet
}

// outcome is what Next returns after an Await.
type outcome struct {
	decision proxy.Decision
	err      error
}

func (p *probe) Next(req *proxy.Request, _ proxy.Attempt) (proxy.Decision, error) {
	if p.looked != nil {
		return p.looked.decision, p.looked.err
	}
	if p.policy.drain.active.Load() {
		return p.shuttingDown(req), nil
	}
	if p.asker == askedByActivator && p.policy.trusts(req.RemoteAddr) && p.policy.misdirected(req.Header) {
		return notPassing(req, misdirected()), nil
	}
	value := req.Header.Get(knative.HeaderProbe)
	switch {
	case p.asker == askedByIngress && value == knative.ProbeIngress:
		return p.echo(req)
	case p.asker == askedByIngress, value != knative.ProbeQueue:
		return proxy.Decision{}, &proxy.Error{
			Reason: proxy.BadRequest,
			Text:   "unexpected probe header value: " + value + "\n",
		}
	}
	return req.Await(proxy.Timeouts{}, func(ctx context.Context) {
		d, err := p.answer(ctx, req)
		p.looked = &outcome{d, err}
	}), nil
}

func (p *probe) shuttingDown(req *proxy.Request) proxy.Decision {
	if p.asker == askedByKubelet || p.asker == askedByActivator {
		p.policy.drain.probeAnswered()
	}
	return notPassing(req, &proxy.Error{Reason: proxy.Draining, Text: "shutting down\n"})
}

// echo answers an ingress that checks which configuration has reached this proxy.
func (p *probe) echo(req *proxy.Request) (proxy.Decision, error) {
	hash := req.Header.Get(knative.HeaderHash)
	if hash == "" {
		return proxy.Decision{}, &proxy.Error{
			Reason: proxy.BadRequest,
			Text:   `a probe request must contain a non-empty "` + knative.HeaderHash + "\" header\n",
		}
	}
	return local(http.StatusOK, "", [2]string{knative.HeaderHash, hash}), nil
}

// answer responds whether the app is ready. For an activator or an aggressive probe it blocks until the app is ready.
func (p *probe) answer(ctx context.Context, req *proxy.Request) (proxy.Decision, error) {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	stop := context.AfterFunc(p.policy.drain.untilDraining(), func() { cancel(errDraining) })
	defer stop()
	ready, err := p.policy.readiness.probe(ctx, p.asker == askedByActivator, patience(req))
	switch {
	case err != nil && p.policy.drain.active.Load():
		return p.shuttingDown(req), nil
	case err != nil: // the prober has closed its connection, as a kubelet does after a second
		p.policy.readiness.diagnosis.unready()
		return proxy.Decision{}, err
	case !ready:
		return unready(req, p.policy.readiness.diagnosis.unready()), nil
	case p.policy.certs.missing():
		const why = "the pod has no usable certificate yet"
		p.policy.readiness.diagnosis.report(noCertFound, why)
		return unready(req, why), nil
	}
	p.policy.appIsUp()
	return local(http.StatusOK, knative.ProbeQueue), nil
}

// features is the header that tells a prober which extensions this queue-proxy supports.
var features = [2]string{knative.HeaderFeatures, knative.FeatureNoQueue}

// patience is how long the response to a probe may take. If an activator announces its timeout, the response is sent a
// little before that, so that the activator learns why the app isn't ready, and probes again at once.
func patience(req *proxy.Request) time.Duration {
	const least = 50 * time.Millisecond // for the response to arrive
	ms, err := strconv.ParseUint(req.Header.Get(knative.HeaderPatience), 10, 31)
	said := time.Duration(ms) * time.Millisecond
	if err != nil || said < 2*least {
		return readinessPatience
	}
	return min(readinessPatience, said-max(least, said/10))
}

// unready is the response to a probe while the app isn't ready; its body is empty (contract, "Probes").
func unready(req *proxy.Request, why string) proxy.Decision {
	d := notPassing(req, &proxy.Error{Reason: proxy.NotReady, Details: why})
	d.Local.Body = ""
	return d
}

// notPassing is the response to a probe that fails.
func notPassing(req *proxy.Request, why *proxy.Error) proxy.Decision {
	return proxy.Answer(why.Local(req, name, features))
}

// local is the response to a probe that passes.
func local(status int, body string, header ...[2]string) proxy.Decision {
	header = append(header, features)
	if body != "" {
		header = append(header, [2]string{"Content-Type", "text/plain; charset=utf-8"})
	}
	return proxy.Answer(&proxy.Local{Status: status, Header: header, Body: body})
}
