package activator_test

import (
	"net/http"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/sluice-proxy/sluice/activator"
	"github.com/sluice-proxy/sluice/proxy"
)

// BenchmarkPolicy is what the rules cost a request that finds a free slot, without the bytes: all that the engine calls,
// again and again within one request of its own, whose fields are as a client and a pod have sent them.
func BenchmarkPolicy(b *testing.B) {
	for _, c := range []struct {
		name string
		head []string
	}{
		{"host", nil},
		{"headers", []string{"Knative-Serving-Namespace", hello.Namespace, "Knative-Serving-Revision", hello.Name}},
	} {
		b.Run(c.name, func(b *testing.B) {
			p := newPod(b, "pod", 0, false, nil)
			f := newFront(b, activator.Config{
				Registerer: prometheus.NewRegistry(), Reporter: &reports{},
				WrapPolicy: func(p proxy.Policy) proxy.Policy { return again{p, b, c.head} },
			})
			f.UpdateRevision(activator.Revision{ID: hello, Limit: 100, Timeouts: timeout(time.Hour)})
			f.UpdateEndpoints(hello, endpointsOf(p))
			f.awaitUsable(b, 1)
			if a := f.get("/", c.head...); !a.ok() {
				b.Fatal(a)
			}
		})
	}
}

type again struct {
	proxy.Policy
	b    *testing.B
	head []string
}

func (p again) Begin(req *proxy.Request) proxy.Exchange { return againExchange{p.Policy.Begin(req), p} }

type againExchange struct {
	proxy.Exchange
	p again
}

func (x againExchange) Response(req *proxy.Request, resp *proxy.Response) bool {
	x.p.b.ReportAllocs()
	x.p.b.ResetTimer()
	for range x.p.b.N {
		// As the next request would have them.
		req.Header.Del("K-Original-Host")
		req.Header.Del("K-Proxy-Request")
		for i := 0; i < len(x.p.head); i += 2 {
			req.Header.Add(x.p.head[i], x.p.head[i+1])
		}
		y := x.p.Policy.Begin(req)
		d, err := y.Next(req, proxy.Attempt{})
		if err != nil {
			x.p.b.Error(err)
			break
		}
		y.Response(req, resp)
		y.Release(d.Upstream, proxy.AttemptResult{Status: http.StatusOK, Connect: 1})
		y.End(req, proxy.Result{Status: http.StatusOK, Attempts: 1, Total: time.Millisecond})
	}
	x.p.b.StopTimer()
	return x.Exchange.Response(req, resp)
}
