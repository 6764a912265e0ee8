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
	nginx      bool // the app is nginx, which costs less than net/http, and supports HTTP/1.1 only
	programs   []string
	measure    func(ctx context.Context, t *trial) (report.Sample, error)
}

// app is the protocol between contenders and the app, if they have to be told.
func (s *scenario) app() load.Protocol {
	if s.nginx || s.protocol == load.HTTP1 {
		return load.HTTP1
	}
	return load.HTTP2
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
	all = append(all, head, fresh)
	all = append(all, bodies("", load.HTTP1)...)
	limited := small("limit-4", "an app that takes 10 ms, 4 requests at a time, 64 clients: whether all wait alike", 64)
	limited.kind, limited.path, limited.limit, limited.nginx = report.Fairness, origin.Slow, 4, false
	all = append(all, limited,
		multiplexed("http2", "HTTP/2 (prior knowledge), 8 connections with 8 requests at a time, small answers", 8, 8),
		multiplexed("http2-64x1", "HTTP/2, 64 connections with one request at a time, small answers", 64, 1),
		multiplexed("http2-1x1", "HTTP/2, one connection with one request at a time, small answers", 1, 1))
	old := multiplexed("http2-http1", "HTTP/2, 8 connections with 8 at a time, an app that supports HTTP/1.1 only", 8, 8)
	old.nginx, old.programs = true, append(old.programs, "nginx")
	all = append(append(all, old), bodies("http2-", load.HTTP2)...)
	unary := multiplexed("grpc", "gRPC, unary calls, 8 connections with 8 at a time", 8, 8)
	unary.protocol, unary.path = load.GRPC, origin.Unary
	const fewer = " (fewer where files may not be opened)"
	return append(all, unary, chat(),
		waiting("held", "10 000 requests that wait: memory for each"+fewer, load.HTTP1, 1),
		waiting("http2-held", "10 000 requests of HTTP/2 that wait, 100 over each connection: memory for each"+fewer, load.HTTP2, 100),
		unused("idle", "10 000 connections after a request: memory for each"+fewer, load.HTTP1),
		unused("http2-idle", "10 000 connections of HTTP/2 after a request: memory for each"+fewer, load.HTTP2),
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

func multiplexed(name, what string, connections, streams int) *scenario {
	return &scenario{
		name: name, what: what, kind: report.Requests, protocol: load.HTTP2, path: origin.Small, limit: limit100,
		programs: []string{"h2load"},
		measure: underLoad(func(ctx context.Context, t *trial, d time.Duration) (load.Result, error) {
			return load.H2load(ctx, load.Run{Dir: t.dir, Target: t.target, Connections: connections, Streams: streams, Duration: d})
		}),
	}
}

func chat() *scenario {
	return &scenario{
		name: "grpc-stream", what: "gRPC, 8 connections with 8 calls that stream both ways, a message of 12 bytes at a time: cost per message",
		kind: report.Requests, protocol: load.GRPC, path: origin.Stream, limit: limit100,
		measure: underLoad(func(ctx context.Context, t *trial, d time.Duration) (load.Result, error) {
			return load.Chat(ctx, load.Run{Target: t.target, Connections: 8, Streams: 8, Duration: d})
		}),
	}
}

// bodies are large bodies in both directions.
func bodies(prefix string, p load.Protocol) (all []*scenario) {
	over := map[load.Protocol]string{load.HTTP2: ", over HTTP/2"}[p]
	for _, size := range []struct {
		name, what  string
		bytes       int64
		connections int
	}{{"1m", "1 MiB over 4 connections", mib, 4}, {"1g", "1 GiB, one at a time", gib, 1}} {
		for _, up := range []bool{false, true} {
			direction := map[bool][2]string{false: {"down-", "answers of "}, true: {"up-", "bodies of "}}[up]
			x := load.Transfers{Protocol: p, Size: size.bytes, Up: up, Connections: size.connections}
			all = append(all, transfer(prefix+direction[0]+size.name, direction[1]+size.what+over, x))
		}
	}
	return all
}

func transfer(name, what string, x load.Transfers) *scenario {
	return &scenario{
		name: name, what: what, kind: report.Transfer, protocol: x.Protocol, path: origin.Small, limit: limit100,
		measure: underLoad(func(ctx context.Context, t *trial, d time.Duration) (load.Result, error) {
			x.Addr, x.Duration = t.target.Addr, d
			return load.Transfer(ctx, x)
		}),
	}
}

// waiting has requests at a time over each connection.
func waiting(name, what string, p load.Protocol, requests int) *scenario {
	return &scenario{
		name: name, what: what, kind: report.Memory, protocol: p, path: origin.Hold, header: browser, limit: limit100, crowd: true,
		measure: held(requests),
	}
}

func unused(name, what string, p load.Protocol) *scenario {
	return &scenario{
		name: name, what: what, kind: report.Memory, protocol: p, path: origin.Small, header: browser, limit: limit100, measure: idle,
	}
}
