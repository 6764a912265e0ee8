//go:build !race

package queueproxy

import (
	"net/http"
	"testing"
	"time"

	"github.com/sluice-proxy/sluice/proxy"
)

// With a free slot the rules cost a request no allocation. (Under the race detector pools drop what
// they hold, at random.)
func TestPolicyAllocatesNothing(t *testing.T) {
	c := Config{UserAddr: "127.0.0.1:8080", ContainerConcurrency: 10, RequestMetrics: MetricsPrometheus}
	p, err := New(c, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer p.Close()
	p.policy.appIsUp()
	h := http.Header{"Accept": {"*/*"}, "User-Agent": {"curl"}, "K-Proxy-Request": {"activator"}}
	req := &proxy.Request{Method: "GET", Target: "/", Host: "x", Header: proxy.NewHeader(h), RemoteAddr: "127.0.0.1:1", Arrived: time.Now()}
	resp := &proxy.Response{Status: 200, Header: proxy.NewHeader(http.Header{})}
	if n := testing.AllocsPerRun(1000, func() { exchangeOnce(t, p.policy, req, resp) }); n != 0 {
		t.Errorf("%v allocations", n)
	}
}
