package activator

import (
	"fmt"
	"strings"

	"github.com/sluice-proxy/sluice/internal/knative"
	"github.com/sluice-proxy/sluice/proxy"
	"github.com/sluice-proxy/sluice/throttler"
)

// resolve finds the name of the revision that a request is for: in its header fields or, when one of them is missing, in
// its Host. The strings are valid until the request is parked; ok is false when there is no name.
func resolve(req *proxy.Request, clusterDomain string) (namespace, name string, ok bool) {
	namespace, name = req.Header.Get(knative.HeaderNamespace), req.Header.Get(knative.HeaderRevision)
	if namespace != "" && name != "" {
		return namespace, name, true
	}
	return parseHost(req.Host, clusterDomain)
}

// parseHost takes <revision>.<namespace>.svc.<cluster domain>[:port] apart. Names of hosts are compared without regard
// to case, and those of Kubernetes are all in lower case (RFC 1123 as in its names document).
func parseHost(host, clusterDomain string) (namespace, name string, ok bool) {
	host, _, _ = strings.Cut(host, ":")
	host = strings.ToLower(strings.TrimSuffix(host, "."))
	host, ok = strings.CutSuffix(host, clusterDomain)
	if !ok {
		return "", "", false
	}
	host, ok = strings.CutSuffix(host, ".svc.")
	if !ok {
		return "", "", false
	}
	name, namespace, ok = strings.Cut(host, ".")
	if !ok || name == "" || namespace == "" || strings.Contains(namespace, ".") {
		return "", "", false
	}
	return namespace, name, true
}

// lookup is how answers about a revision that can't be found begin.
const lookup = "Error getting active endpoint: "

func unknown(namespace, name string) error {
	return notFound(fmt.Errorf("revision %q: %w", namespace+"/"+name, throttler.ErrUnknownRevision))
}

func notFound(err error) error {
	return &proxy.Error{Reason: proxy.UnknownRevision, Text: lookup + err.Error() + "\n", Err: err}
}
