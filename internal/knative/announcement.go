package knative

import (
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/netip"
	"net/url"
	"strings"
)

// AudienceSluice is the audience of the service account tokens with which pods authenticate to an activator. Knative
// mounts such a token into its sidecars if config-deployment sets `queue-sidecar-token-audiences: sluice`.
const AudienceSluice = "sluice"

// An Announcement is what a queue-proxy that has just started sends to an activator: a POST to the port of requests with
// K-Network-Probe: pod. Knative's own activator answers it 400, as it does every unknown probe.
type Announcement struct {
	Namespace, Revision string
	Addr                netip.AddrPort // of the queue-proxy
	Token               string
}

// Write sends a as an HTTP/1.1 request, after which the connection is not used again.
func (a Announcement) Write(w io.Writer, host string) error {
	return (&http.Request{
		Method: http.MethodPost, URL: &url.URL{Path: "/"}, Host: host, Close: true,
		Header: http.Header{
			"User-Agent":    {"Sluice-Queue-Proxy"},
			HeaderProbe:     {ProbePod},
			HeaderNamespace: {a.Namespace},
			HeaderRevision:  {a.Revision},
			HeaderPodAddr:   {a.Addr.String()},
			"Authorization": {"Bearer " + a.Token},
		},
	}).Write(w)
}

// ParseAnnouncement reads one from the header of a request; get returns a field's first value. Its errors never contain
// the token.
func ParseAnnouncement(get func(name string) string) (a Announcement, err error) {
	a.Namespace, a.Revision = get(HeaderNamespace), get(HeaderRevision)
	if a.Namespace == "" || a.Revision == "" {
		return a, fmt.Errorf("%s or %s is missing", HeaderNamespace, HeaderRevision)
	}
	if a.Addr, err = netip.ParseAddrPort(get(HeaderPodAddr)); err != nil || a.Addr.Port() == 0 {
		return a, fmt.Errorf("%s is not an IP address with a port", HeaderPodAddr)
	}
	token, ok := strings.CutPrefix(get("Authorization"), "Bearer ")
	if !ok || token == "" {
		return a, errors.New("no bearer token in Authorization")
	}
	a.Token = token
	return a, nil
}
