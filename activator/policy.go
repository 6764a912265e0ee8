package activator

import (
	"fmt"
	"net/http"
	"strconv"
	"strings"

	"github.com/sluice-proxy/sluice/internal/knative"
	"github.com/sluice-proxy/sluice/proxy"
	"github.com/sluice-proxy/sluice/throttler"
)

// LivePath answers the kubelet's liveness probe with 200, ready or not. A liveness probe of any other path, as in
// Knative's own manifest, restarts an activator that waits for the API server or for a certificate.
const LivePath = "/livez"

// policy is the activator's side of the seam to package proxy.
type policy struct{ a *Activator }

// Begin counts the request, which waits from its arrival on: that is what scales a revision from zero.
func (p policy) Begin(req *proxy.Request) proxy.Exchange {
	local := p.probeAnswer(req)
	if local == announced {
		return &announcement{of: p.a.announcements}
	}
	x := p.a.exchanges.Get().(*exchange)
	if x.local = local; local != nil {
		return x
	}
	namespace, name, ok := resolve(req, p.a.config.ClusterDomain)
	if !ok {
		x.err = notFound(fmt.Errorf("neither headers nor host %q name a revision", req.Host))
		return x
	}
	if !x.find(req, namespace, name) {
		if !p.a.hasSynced() {
			x.early = &throttler.RevisionID{Namespace: strings.Clone(namespace), Name: strings.Clone(name)}
			return x
		}
		x.err = unknown(namespace, name)
	}
	return x
}

// announced stands for the answer to an announcement, which an exchange of its own gives.
var announced = new(proxy.Local)

// probeAnswer answers the probes of the activator itself; it returns nil for other requests. The kubelet asks whether this
// activator is ready, the others only whether it is in the path.
func (p policy) probeAnswer(req *proxy.Request) *proxy.Local {
	if req.Header.Has(knative.HeaderKubeletProbe) ||
		strings.HasPrefix(req.Header.Get("User-Agent"), knative.UserAgentKubelet) {
		if why := p.a.unready(); why != "" && req.Target != LivePath {
			return (&proxy.Error{
				Reason: proxy.NotReady, Status: http.StatusInternalServerError, Text: why + "\n",
			}).Local(req, Name)
		}
		return &proxy.Local{Status: http.StatusOK}
	}
	switch who := req.Header.Get(knative.HeaderProbe); {
	case who == "":
		return nil
	case who == knative.ProbePod && p.a.config.Identify != nil:
		return announced
	case who == knative.ProbeActivator:
		return &proxy.Local{
			Status: http.StatusOK, Header: [][2]string{{"Content-Type", "text/plain; charset=utf-8"}}, Body: knative.ProbeActivator,
		}
	case who == knative.ProbeIngress:
		hash := req.Header.Get(knative.HeaderHash)
		if hash == "" {
			return refusal(req, http.StatusBadRequest, "a probe request must contain a non-empty "+strconv.Quote(knative.HeaderHash)+" header")
		}
		return &proxy.Local{Status: http.StatusOK, Header: [][2]string{{knative.HeaderHash, hash}}}
	default:
		return refusal(req, http.StatusBadRequest, "unexpected probe header value: "+strconv.Quote(who))
	}
}

// refusal is the answer to a probe or an announcement that is malformed or rejected.
func refusal(req *proxy.Request, status int, why string) *proxy.Local {
	return (&proxy.Error{Reason: proxy.BadRequest, Status: status, Text: why + "\n"}).Local(req, Name)
}
