package main

import (
	"context"
	"fmt"
	"strconv"
	"time"

	"github.com/sluice-proxy/sluice/bench/internal/load"
	"github.com/sluice-proxy/sluice/bench/internal/origin"
	"github.com/sluice-proxy/sluice/bench/internal/report"
)

// scenario is one kind of load.
type scenario struct {
	name, what string
	kind       report.Kind
	protocol   load.Protocol
	path       string
	header     []string
	limit      int  // containerConcurrency, for contenders that support it
	clients    int  // requests at a time, if that is known
	crowd      bool // as many connections as possible; all requests beyond the limit wait
	nginx      bool // the app is nginx, which costs less than net/http
	programs   []string
	measure    func(ctx context.Context, t *trial) (report.Sample, error)
}

// limit100 is the containerConcurrency of the performance targets.
const limit100 = 100

const (
	mib = 1 << 20
	gib = 1 << 30
)

func scenarios() []*scenario {
	var all []*scenario
	for _, n := range []int{4, 64, 256, 1000} {
		all = append(all, small("conns-"+strconv.Itoa(n), fmt.Sprintf("%d keep-alive connections, small answers", n), n))
	}
	head := small("head-14", "64 keep-alive connections, requests with 14 header fields, small answers", 64)
	head.header = browser
	fresh := small("new-conns", "64 clients that open a connection for each request, small answers", 64)
	fresh.header = []string{"Connection: close"}
	all = append(all, head, fresh,
		transfer("down-1m", "answers of 1 MiB over 4 connections", load.Transfers{Size: mib, Connections: 4}),
		transfer("up-1m", "bodies of 1 MiB over 4 connections", load.Transfers{Size: mib, Connections: 4, Up: true}),
		transfer("down-1g", "answers of 1 GiB, one at a time", load.Transfers{Size: gib, Connections: 1}),
		transfer("up-1g", "bodies of 1 GiB, one at a time", load.Transfers{Size: gib, Connections: 1, Up: true}),
	)
	limited := small("limit-4", "an app that takes 10 ms, 4 requests at a time, 64 clients: whether all wait alike", 64)
	limited.kind, limited.path, limited.limit, limited.nginx = report.Fairness, origin.Slow, 4, false
	h2 := multiplexed("http2", "HTTP/2 (prior knowledge), 8 connections with 8 requests at a time, small answers", origin.Small)
	grpc := multiplexed("grpc", "gRPC, unary calls, 8 connections with 8 at a time", origin.Unary)
	grpc.protocol = load.GRPC
	return append(all, limited, h2, grpc,
		&scenario{
			name: "held", what: "10 000 requests that wait: memory for each (fewer where files may not be opened)",
			kind: report.Memory, protocol: load.HTTP1, path: origin.Hold, header: browser, limit: limit100, crowd: true, measure: held,
		},
		&scenario{
			name: "idle", what: "10 000 connections after a request: memory for each (fewer where files may not be opened)",
			kind: report.Memory, protocol: load.HTTP1, path: origin.Small, header: browser, limit: limit100, measure: idle,
		},
	)
}

// browser are the fields that Chromium sends: with Host 14 fields, 0.7 KiB.
var browser = []string{
	"Connection: keep-alive",
	`sec-ch-ua: "Chromium";v="140", "Not=A?Brand";v="24"`,
	"sec-ch-ua-mobile: ?0",
	`sec-ch-ua-platform: "Linux"`,
	"Upgrade-Insecure-Requests: 1",
	"User-Agent: Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/140.0.0.0 Safari/537.36",
	"Accept: text/html,application/xhtml+xml,application/xml;q=0.9,image/avif,image/webp,*/*;q=0.8",
	"Sec-Fetch-Site: same-origin",
	"Sec-Fetch-Mode: navigate",
	"Sec-Fetch-Dest: document",
	"Referer: http://bench.default.svc.cluster.local/some/other/page?with=a+query",
	"Accept-Language: en-US,en;q=0.9",
	"Cookie: visitor=0123456789abcdef0123456789abcdef; theme=dark",
}

func small(name, what string, connections int) *scenario {
	return &scenario{
		name: name, what: what, kind: report.Requests, protocol: load.HTTP1, path: origin.Small, limit: limit100, clients: connections, nginx: true,
		programs: []string{"wrk", "nginx"},
		measure: underLoad(func(ctx context.Context, t *trial, d time.Duration) (load.Result, error) {
			return load.Wrk(ctx, load.Run{Dir: t.dir, Target: t.target, Connections: connections, Duration: d})
		}),
	}
}

func multiplexed(name, what, path string) *scenario {
	return &scenario{
		name: name, what: what, kind: report.Requests, protocol: load.HTTP2, path: path, limit: limit100,
		programs: []string{"h2load"},
		measure: underLoad(func(ctx context.Context, t *trial, d time.Duration) (load.Result, error) {
			return load.H2load(ctx, load.Run{Dir: t.dir, Target: t.target, Connections: 8, Streams: 8, Duration: d})
		}),
	}
}

func transfer(name, what string, x load.Transfers) *scenario {
	return &scenario{
		name: name, what: what, kind: report.Transfer, protocol: load.HTTP1, path: origin.Small, limit: limit100,
		measure: underLoad(func(ctx context.Context, t *trial, d time.Duration) (load.Result, error) {
			x.Addr, x.Duration = t.target.Addr, d
			return load.Transfer(ctx, x)
		}),
	}
}
