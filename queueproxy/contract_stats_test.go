package queueproxy

import (
	"strings"
	"testing"
	"time"

	"google.golang.org/protobuf/encoding/protowire"

	"github.com/sluice-proxy/sluice/internal/contracttest"
	"github.com/sluice-proxy/sluice/internal/knative"
)

// field is one of a message, as it is on the wire.
type field struct {
	number protowire.Number
	kind   protowire.Type
	value  []byte
}

func fieldsOf(t *testing.T, b []byte) (all []field) {
	t.Helper()
	for len(b) > 0 {
		n, kind, l := protowire.ConsumeTag(b)
		if l < 0 {
			t.Fatal(protowire.ParseError(l))
		}
		b = b[l:]
		if l = protowire.ConsumeFieldValue(n, kind, b); l < 0 {
			t.Fatal(protowire.ParseError(l))
		}
		all = append(all, field{n, kind, b[:l]})
		b = b[l:]
	}
	return all
}

func TestContractStats(t *testing.T) {
	contracttest.Follow(t, []contracttest.Rule{
		{Says: "one Stat with the fields 1 to 7 of their kinds", Test: func(t *testing.T) {
			p, letGo := full(t, 1, nil)
			defer letGo()
			p.policy.stats.Report(p.created) // measured from here
			p.policy.stats.Start(time.Now(), true)
			p.measure(time.Now().Add(time.Second))
			p.policy.stats.End(time.Now(), true)
			got := map[protowire.Number]protowire.Type{}
			for _, f := range fieldsOf(t, []byte(p.at(p.Addrs().Stats, "/metrics").body)) {
				if got[f.number] = f.kind; f.number == 1 && string(f.value[1:]) != "hello-00001-abc" {
					t.Errorf("pod_name %q", f.value)
				}
			}
			want := map[protowire.Number]protowire.Type{
				1: protowire.BytesType, 2: protowire.Fixed64Type, 3: protowire.Fixed64Type, 4: protowire.Fixed64Type,
				5: protowire.Fixed64Type, 6: protowire.Fixed64Type, 7: protowire.VarintType,
			}
			for n, kind := range want {
				if n != 4 && n != 5 && got[n] != kind { // the counts may be 0 by now, and then aren't sent
					t.Errorf("field %d is of type %d, want %d", n, got[n], kind)
				}
				delete(got, n)
			}
			if len(got) > 0 {
				t.Errorf("unknown fields: %v", got)
			}
		}},
		{Says: "at most 336 bytes, however long the pod's name", Test: func(t *testing.T) {
			p := startPod(t, deadAddr(t), func(c *Config) { c.Identity.Pod = strings.Repeat("p", 400) })
			if n := len(p.at(p.Addrs().Stats, "/metrics").body); n == 0 || n > 336 {
				t.Errorf("%d bytes", n)
			}
		}},
		{Says: "protobuf whatever is accepted, unless that names text; then the classic gauges", Test: func(t *testing.T) {
			p := startPod(t, deadAddr(t), nil)
			for accept, text := range map[string]bool{
				"": false, "*/*": false, "application/protobuf": false, "application/json": false,
				"text/plain, application/protobuf": false,
				"text/plain;version=0.0.4":         true, "application/openmetrics-text": true,
			} {
				var fields []string
				if accept != "" {
					fields = []string{"Accept", accept}
				}
				got := p.at(p.Addrs().Stats, "/metrics", fields...)
				if kind := got.header.Get("Content-Type"); (kind == "application/protobuf") == text {
					t.Errorf("Accept %q: %s", accept, kind)
				}
				if !text {
					continue
				}
				for _, name := range []string{
					"queue_average_concurrent_requests", "queue_average_proxied_concurrent_requests", "queue_requests_per_second",
					"queue_proxied_operations_per_second", "process_uptime",
				} {
					contains(t, got.body, "# TYPE "+name+" gauge\n"+name+`{destination_namespace="default",destination_configuration="hello",destination_revision="hello-00001",destination_pod="hello-00001-abc"} `)
				}
			}
		}},
		{Says: "averages over the last second, counts per second, totals include proxied", Shown: contracttest.By(TestStats)},
		{Says: "probes and spillover requests that were refused don't count", Shown: contracttest.By(TestContractProbes, TestNoQueue)},
		{Says: "what was refused for a full queue counts as what came", Test: func(t *testing.T) {
			p, letGo := full(t, 1, nil)
			defer letGo()
			p.policy.stats.Report(time.Now())
			p.get("/", knative.HeaderProxyRequest, knative.ProxyActivator)
			if r := p.policy.stats.Report(time.Now()); r.Requests != 1 || r.ProxiedRequests != 1 {
				t.Errorf("%+v", r)
			}
		}},
	})
}
