package queueproxy

import (
	"net/http"
	"testing"

	"github.com/sluice-proxy/sluice/internal/knative"
)

// An app that has died doesn't receive later requests. Their answers are marked, so that the activator sends them to
// another pod; a direct client gets the error. (Requests used to fail that were never in the process.)
func TestWhatADeadAppDidNotGetGoesElsewhere(t *testing.T) {
	p := startPod(t, deadAddr(t), nil)
	p.policy.appIsUp()
	for _, client := range []*http.Client{p.client, p.h2c} {
		got := p.do(client, p.request("/", knative.HeaderProxyRequest, knative.ProxyActivator))
		if got.status != http.StatusBadGateway || got.header.Get(knative.HeaderNotProcessed) != "1" {
			t.Errorf("through the activator: %d %v", got.status, got.header)
		}
		contains(t, got.header.Get("Proxy-Status"), "error=connection_refused")
		got = p.do(client, p.request("/", knative.HeaderProxyRequest, knative.ProxyActivator, "Content-Type", "application/grpc"))
		if got.status != http.StatusOK || got.header.Get("Grpc-Status") != "14" || got.header.Get(knative.HeaderNotProcessed) != "1" {
			t.Errorf("gRPC through the activator: %d %v", got.status, got.header)
		}
		got = p.do(client, p.request("/"))
		if got.status != http.StatusBadGateway || got.header.Get(knative.HeaderNotProcessed) != "" {
			t.Errorf("directly: %d %v", got.status, got.header)
		}
	}
	eventually(t, "none is counted in flight", func() bool { return p.policy.stats.InFlight() == 0 })
}
