package objects

import "github.com/sluice-proxy/sluice/internal/knative"

// protocol is what an app speaks, by the name of its container's port.
type protocol string

const (
	http1 protocol = "http1"
	h2c   protocol = "h2c"
)

// protocolOf returns that of a template.
func protocolOf(template map[string]any) protocol {
	for _, c := range items(template, "spec", "containers") {
		for _, p := range items(c, "ports") {
			if p["name"] == string(h2c) {
				return h2c
			}
		}
	}
	return http1
}

// servicePort returns the port of a revision's Service, and its name (knative.dev/networking/pkg/apis/networking/ports.go).
func (p protocol) servicePort() (int64, string) {
	if p == h2c {
		return 81, "http2"
	}
	return 80, "http"
}

// queuePort returns the port of a queue-proxy in a cluster.
func (p protocol) queuePort() int64 {
	if p == h2c {
		return knative.PortHTTP2
	}
	return knative.PortHTTP1
}

// setAppProtocol sets a port's: HTTP/2 in the clear has one (KEP 3726).
func (p protocol) setAppProtocol(port map[string]any) {
	if p == h2c {
		port["appProtocol"] = "kubernetes.io/h2c"
	}
}
