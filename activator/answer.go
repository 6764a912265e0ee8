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
			return (&proxy.Error{
				Reason: proxy.NotReady, Status: http.StatusInternalServerError, Text: why + "\n",
			}).Local(req, Name)
		}
		return &proxy.Local{Status: http.StatusOK}
	}
	switch who := req.Header.Get(knative.HeaderProbe); {
	case who == "":
		return nil
	case who == knative.ProbePod && a.config.Identify != nil:
		return toHear
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

// refusal answers what is no request to an app.
func refusal(req *proxy.Request, status int, why string) *proxy.Local {
	return (&proxy.Error{Reason: proxy.BadRequest, Status: status, Text: why + "\n"}).Local(req, Name)
}
