package queueproxy

import (
	"io"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/sluice-proxy/sluice/internal/contracttest"
	"github.com/sluice-proxy/sluice/internal/knative"
)

// TestContractHeaders has a row for each header: what a client or an activator sends, and what the app sees of it.
func TestContractHeaders(t *testing.T) {
	p := startPod(t, startApp(t, http.HandlerFunc(echo)), nil)
	for _, row := range []struct {
		says string
		send []string // name, value, …
		want []string // lines that the app sees
		none []string // names that it doesn't
	}{
		{
			"the revision's name is removed",
			[]string{knative.HeaderNamespace, "default", knative.HeaderRevision, "hello-00001"},
			nil,
			[]string{knative.HeaderNamespace, knative.HeaderRevision},
		},
		{"K-Proxy-Request reaches the app", []string{"K-Proxy-Request", "activator"}, []string{"K-Proxy-Request: activator"}, nil},
		{
			"K-Original-Host is the Host again, and removed",
			[]string{"Host", "10.0.0.7:8012", "K-Original-Host", "hello.example.com"},
			[]string{"Host: hello.example.com"},
			[]string{"K-Original-Host"},
		},
		{"the Host stays without K-Original-Host", []string{"Host", "hello.example.com"}, []string{"Host: hello.example.com"}, nil},
		{"K-Passthrough-Lb reaches the app", []string{"K-Passthrough-Lb", "true"}, []string{"K-Passthrough-Lb: true"}, nil},
		{"K-Network-Probe never reaches the app", []string{"K-Network-Probe", ""}, nil, []string{"K-Network-Probe"}},
		{"K-Network-Hash is removed", []string{"K-Network-Hash", "h"}, nil, []string{"K-Network-Hash"}},
		{"K-Kubelet-Probe makes no probe", []string{"K-Kubelet-Probe", "true"}, []string{"K-Kubelet-Probe: true"}, nil},
		{
			"the route's tag reaches the app",
			[]string{"Knative-Serving-Tag", "blue", "Knative-Serving-Default-Route", "true"},
			[]string{"Knative-Serving-Tag: blue", "Knative-Serving-Default-Route: true"},
			nil,
		},
		{"X-Forwarded-For gets the peer", []string{"X-Forwarded-For", "1.2.3.4"}, []string{"X-Forwarded-For: 1.2.3.4, 127.0.0.1"}, nil},
		{"X-Forwarded-For begins with the peer", nil, []string{"X-Forwarded-For: 127.0.0.1"}, nil},
		{
			"X-Forwarded-Proto and -Host pass unchanged",
			[]string{"X-Forwarded-Proto", "gopher", "X-Forwarded-Host", "a, b"},
			[]string{"X-Forwarded-Proto: gopher", "X-Forwarded-Host: a, b"},
			nil,
		},
		{"none of them is invented, nor is Forwarded", nil, nil, []string{"X-Forwarded-Proto", "X-Forwarded-Host", "Forwarded"}},
		{
			"Forwarded is built from the fields as received",
			[]string{"X-Forwarded-For", "1.2.3.4, fd00::1", "X-Forwarded-Host", "a.example", "X-Forwarded-Proto", "https"},
			[]string{`Forwarded: for=1.2.3.4;host=a.example;proto=https, for="[fd00::1]"`},
			nil,
		},
		{
			"Forwarded stays when there is one",
			[]string{"Forwarded", "for=9.9.9.9", "X-Forwarded-For", "1.2.3.4"},
			[]string{"Forwarded: for=9.9.9.9"},
			nil,
		},
		{"Accept-Encoding is untouched", []string{"Accept-Encoding", "br;q=0.3"}, []string{"Accept-Encoding: br;q=0.3"}, nil},
	} {
		t.Run(row.says, func(t *testing.T) {
			for _, client := range []*http.Client{p.client, p.h2c} {
				got := p.do(client, p.request("/", row.send...))
				lines := strings.Split(strings.ReplaceAll(got.body, "\r", ""), "\n")
				for _, want := range row.want {
					if !slices.Contains(lines, want) {
						t.Errorf("no line %q in\n%s", want, got.body)
					}
				}
				for _, name := range row.none {
					if strings.Contains(got.body, "\n"+name+":") {
						t.Errorf("the app sees %s:\n%s", name, got.body)
					}
				}
			}
		})
	}
	contracttest.Follow(t, []contracttest.Rule{
		{Says: "what came through the activator counts as proxied", Test: func(t *testing.T) {
			p.policy.stats.Report(time.Now())
			p.get("/", "K-Proxy-Request", "activator")
			p.get("/", "K-Proxy-Request", "somebody")
			p.get("/")
			if r := p.policy.stats.Report(time.Now()); r.Requests != 3 || r.ProxiedRequests != 1 {
				t.Errorf("%+v", r)
			}
		}},
		{Says: "no User-Agent and no Accept-Encoding are invented", Test: func(t *testing.T) {
			got := raw(t, p, "GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
			for _, name := range []string{"User-Agent", "Accept-Encoding"} {
				if strings.Contains(got.body, name+":") {
					t.Errorf("%s is invented:\n%s", name, got.body)
				}
			}
		}},
		{Says: "bodies are untouched", Test: func(t *testing.T) {
			mirror := startPod(t, startApp(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				w.Header().Set("Content-Encoding", "gzip") // it isn't; the proxy doesn't look
				body, _ := io.ReadAll(r.Body)              // all of it first: net/http drops the rest when the answer begins
				_, _ = w.Write(body)
			})), nil)
			body := strings.Repeat("\x00\xff\r\n", 1<<14)
			for _, client := range []*http.Client{mirror.client, mirror.h2c} {
				req := mirror.request("/", "Accept-Encoding", "gzip")
				req.Method, req.Body = http.MethodPost, io.NopCloser(strings.NewReader(body))
				if got := mirror.do(client, req); got.body != body || got.header.Get("Content-Encoding") != "gzip" {
					t.Errorf("%d bytes came back of %d", len(got.body), len(body))
				}
			}
		}},
		{Says: "a hostile Connection field strips no internal header", Shown: contracttest.By(TestPeers28ConnectionOptions)},
		{Says: "the forms of Forwarded", Shown: contracttest.By(TestForwarded)},
		{Says: "internal headers take effect only from trusted peers, if there is a list", Shown: contracttest.By(TestPeers31OnlyTrustedPeersAreHeeded)},
		{Says: "Sluice's own headers end here", Shown: contracttest.By(TestWhatTheAppGetsToSee)},
	})
}
