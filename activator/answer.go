package activator

import (
	"net/http"
	"strconv"
	"strings"

	"github.com/sluice-proxy/sluice/internal/knative"
	"github.com/sluice-proxy/sluice/proxy"
)

// LivePath is where the kubelet is told that the activator lives, ready or not. A liveness probe of any other path, as
// in Knative's own manifest, restarts an activator that waits for the API server or for a certificate.
const LivePath = "/livez"

// toHear stands for the answer to an announcement, which takes a while.
var toHear = new(proxy.Local)

// probeAnswer answers the probes that are for the activator itself, nil for other requests. The kubelet's go first: it
// asks whether this activator is ready, the others only whether it is in the path.
func (a *Activator) probeAnswer(req *proxy.Request) *proxy.Local {
	if req.Header.Has(knative.HeaderKubeletProbe) ||
		strings.HasPrefix(req.Header.Get("User-Agent"), knative.UserAgentKubelet) {
		if why := a.unready(); why != "" && req.Target != LivePath {
			return text(http.StatusInternalServerError, why+"\n")
		}
		return &proxy.Local{Status: http.StatusOK}
	}
	if !req.Header.Has(knative.HeaderProbe) {
		return nil
	}
	switch who := req.Header.Get(knative.HeaderProbe); {
	case who == knative.ProbePod && a.config.Identify != nil:
		return toHear
	case who == knative.ProbeActivator:
		return text(http.StatusOK, knative.ProbeActivator)
	case who == knative.ProbeIngress:
		return ingressAnswer(req.Header.Get(knative.HeaderHash))
	default:
		return text(http.StatusBadRequest, "unexpected probe header value: "+strconv.Quote(who)+"\n")
	}
}

func ingressAnswer(hash string) *proxy.Local {
	if hash == "" {
		return text(http.StatusBadRequest,
			"a probe request must contain a non-empty "+strconv.Quote(knative.HeaderHash)+" header\n")
	}
	return &proxy.Local{Status: http.StatusOK, Header: [][2]string{{knative.HeaderHash, hash}}}
}

func text(status int, body string) *proxy.Local {
	return &proxy.Local{
		Status: status,
		Header: [][2]string{{"Content-Type", "text/plain; charset=utf-8"}, {"X-Content-Type-Options", "nosniff"}},
		Body:   body,
	}
}
