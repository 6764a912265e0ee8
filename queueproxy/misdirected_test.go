package queueproxy

import (
	"net/http"
	"net/netip"
	"strings"
	"testing"

	"github.com/sluice-proxy/sluice/internal/knative"
)

// TestF11AnotherRevisionsRequest: what names another revision, by both headers, is refused; whatever else a client may say
// in one of them is let through, and none of them reaches the app.
func TestF11AnotherRevisionsRequest(t *testing.T) {
	const namespace, revision = knative.HeaderNamespace, knative.HeaderRevision
	p := startPod(t, startApp(t, http.HandlerFunc(echo)), nil)
	own := p.config.Identity
	ask := func(p *pod, fields ...string) answer {
		req := p.request("/")
		for i := 0; i < len(fields); i += 2 {
			req.Header.Add(fields[i], fields[i+1])
		}
		return p.do(p.client, req)
	}
	for _, c := range []struct {
		says   string
		header []string
		status int
	}{
		{"none", nil, 200},
		{"ours", []string{namespace, own.Namespace, revision, own.Revision}, 200},
		{"another revision", []string{namespace, own.Namespace, revision, "other"}, 421},
		{"another namespace", []string{namespace, "other", revision, own.Revision}, 421},
		{"a client's own word alone", []string{revision, "other"}, 200},
		{"a client's own word alone", []string{namespace, "other"}, 200},
		{"a client's own word before an ingress's", []string{namespace, "x", revision, "y", namespace, own.Namespace, revision, own.Revision}, 200},
		{"a client's own words", []string{namespace, "x", revision, "y"}, 421},
		{"nothing", []string{namespace, "", revision, ""}, 200},
	} {
		for _, activator := range []bool{false, true} {
			header := c.header
			if activator {
				header = append([]string{knative.HeaderProxyRequest, knative.ProxyActivator}, header...)
			}
			got := ask(p, header...)
			if got.status != c.status || (got.header.Get(knative.HeaderNotProcessed) == "1") != (activator && c.status == 421) {
				t.Errorf("%s, from an activator %v: %d %v", c.says, activator, got.status, got.header)
			}
			for _, name := range []string{namespace, revision} {
				if strings.Contains(got.body, name+":") {
					t.Errorf("%s: the app sees %s", c.says, name)
				}
			}
			if c.status == 421 {
				contains(t, got.header.Get("Proxy-Status"), `error=destination_not_found; details="unknown_revision"`)
			}
		}
		if got := ask(p, append([]string{"User-Agent", "Knative-Activator-Probe", knative.HeaderProbe, "queue"}, c.header...)...); got.status != c.status || got.header.Get(knative.HeaderFeatures) == "" {
			t.Errorf("a probe, %s: %d %v", c.says, got.status, got.header)
		}
	}
	if got := ask(p, namespace, "x", revision, "y", "Content-Type", "application/grpc"); got.status != 200 || got.header.Get("Grpc-Status") != "5" {
		t.Errorf("gRPC: %d %v", got.status, got.header)
	}
	untrusting := startPod(t, startApp(t, http.HandlerFunc(echo)), func(c *Config) {
		c.TrustedPeers = []netip.Prefix{netip.MustParsePrefix("192.0.2.0/24")}
	})
	if got := ask(untrusting, namespace, "x", revision, "y"); got.status != 200 {
		t.Errorf("from a peer that isn't trusted: %d", got.status)
	}
	if got := ask(untrusting, "User-Agent", "Knative-Activator-Probe", knative.HeaderProbe, "queue", namespace, "x", revision, "y"); got.status != 200 {
		t.Errorf("a probe of a peer that isn't trusted: %d", got.status)
	}
}
