package standalone

import (
	"slices"
	"testing"
	"time"

	"github.com/sluice-proxy/sluice/activator"
	"github.com/sluice-proxy/sluice/broker"
	"github.com/sluice-proxy/sluice/internal/limits"
	"github.com/sluice-proxy/sluice/internal/observability"
	"github.com/sluice-proxy/sluice/internal/standalone/catalog"
	"github.com/sluice-proxy/sluice/internal/standalone/manifest"
	"github.com/sluice-proxy/sluice/metrics/statpb"
	"github.com/sluice-proxy/sluice/queueproxy"
	"github.com/sluice-proxy/sluice/queueproxy/sidecar"
	"github.com/sluice-proxy/sluice/throttler"
)

var sample = &catalog.Revision{
	Namespace: "shop", Name: "cart-00001", Service: "cart", Command: []string{"cart", "--port=$(PORT)", "$(HOME)", "$$(PORT)"},
	Template: manifest.Template{
		ContainerConcurrency: 4, Timeout: 30 * time.Second, ResponseStart: 20 * time.Second, Idle: 10 * time.Second,
		Annotations: []manifest.Annotation{{Key: manifest.AnnotationFullDuplex, Value: "Enabled"}},
		Container: manifest.Container{
			WorkingDir: "/srv", Env: []manifest.EnvVar{{Name: "A", Value: "a"}, {Name: "B", Value: "$(A)-$(K_REVISION)"}},
			Probe: manifest.Probe{
				HTTP:   &manifest.HTTPProbe{Path: "/up", Scheme: "HTTP", Headers: []manifest.Header{{Name: "X-A", Value: "1"}}},
				Period: 2 * time.Second, Timeout: 3 * time.Second, SuccessThreshold: 1, Failure: 3,
			},
		},
	},
}

func TestAppCommand(t *testing.T) {
	t.Setenv("PORT", "1")
	i := &instance{Revision: sample, ports: ports{app: 5000}, self: "/self"}
	c, err := i.command(&sample.Template.Container, sample.Command, true)
	if err != nil {
		t.Fatal(err)
	}
	if want := []string{"cart", "--port=5000", "$(HOME)", "$(PORT)"}; !slices.Equal(c.Args, want) || c.Path != "cart" || c.Dir != "/srv" {
		t.Errorf("%q in %s as %s, want %q", c.Args, c.Dir, c.Path, want)
	}
	env := map[string]string{}
	for _, v := range c.Env {
		name, value, _ := cutEnv(v)
		env[name] = value
	}
	for name, want := range map[string]string{
		"PORT": "5000", "K_SERVICE": "cart", "K_CONFIGURATION": "cart", "K_REVISION": "cart-00001", "A": "a", "B": "a-cart-00001",
	} {
		if env[name] != want {
			t.Errorf("%s=%s, want %s", name, env[name], want)
		}
	}
	if c, _ := i.command(&sample.Template.Container, []string{"sluice-hello"}, true); c.Path != "/self" || c.Args[0] != "sluice-hello" {
		t.Errorf("the sample is %s as %q", c.Path, c.Args)
	}
}

func cutEnv(v string) (name, value string, ok bool) {
	for i := range v {
		if v[i] == '=' {
			return v[:i], v[i+1:], true
		}
	}
	return v, "", false
}

// The environment that a queue-proxy gets is one that it understands as it was meant.
func TestQueueProxyCommand(t *testing.T) {
	c := queueProxyCommand(sample, "cart-1", ports{app: 5000, serve: 5001, admin: 5002, stats: 5003}, "/self", "error", limits.Default(1<<30, 1<<20).Behind(), observability.Exporter{})
	got, err := sidecar.ConfigFromEnv(func(name string) (string, bool) {
		for _, v := range c.Env {
			if n, value, _ := cutEnv(v); n == name {
				return value, true
			}
		}
		return "", false
	})
	if err != nil {
		t.Fatal(err)
	}
	if got.Identity != (queueproxy.Identity{Namespace: "shop", Service: "cart", Configuration: "cart", Revision: "cart-00001", Pod: "cart-1", PodIP: "127.0.0.1"}) {
		t.Errorf("%+v", got.Identity)
	}
	if got.UserAddr != "127.0.0.1:5000" || got.Addrs.Serve != "127.0.0.1:5001" || got.Addrs.Admin != "127.0.0.1:5002" || got.Addrs.Stats != "127.0.0.1:5003" {
		t.Errorf("%s %+v", got.UserAddr, got.Addrs)
	}
	if got.ContainerConcurrency != 4 || got.Timeouts.Total != 30*time.Second || got.Timeouts.ResponseStart != 20*time.Second || got.Timeouts.Idle != 10*time.Second {
		t.Errorf("%+v", got)
	}
	p := got.Probes[0]
	if len(got.Probes) != 1 || p.Kind != queueproxy.ProbeHTTP || p.Addr != "127.0.0.1:5000" || p.Target != "/up" || p.Aggressive || p.Timeout != 3*time.Second || p.Header.Get("X-A") != "1" {
		t.Errorf("%+v", got.Probes)
	}
}

func TestProbeJSON(t *testing.T) {
	for _, c := range []struct {
		probe manifest.Probe
		kind  queueproxy.ProbeKind
	}{
		{manifest.Probe{TCP: true, SuccessThreshold: 1}, queueproxy.ProbeTCP},
		{manifest.Probe{GRPC: &manifest.GRPCProbe{Service: "s"}, SuccessThreshold: 2}, queueproxy.ProbeGRPC},
	} {
		got, err := queueproxy.ParseProbes(probeJSON(&c.probe, 5000), false, "none", 1)
		if err != nil || len(got) != 1 || got[0].Kind != c.kind || !got[0].Aggressive || got[0].Addr != "127.0.0.1:5000" && c.kind == queueproxy.ProbeTCP {
			t.Errorf("%+v, %v", got, err)
		}
	}
}

func TestColdLine(t *testing.T) {
	at := func(ms int) time.Time { return time.UnixMilli(int64(1000 + ms)) }
	for _, c := range []struct {
		name    string
		cold    activator.ColdStart
		started time.Time
		want    string
	}{
		{"usual", activator.ColdStart{Queued: at(0), Granted: at(30), FirstByte: at(32)}, at(10), "process started 10.0 ms → app listening 20.0 ms → first byte 2.0 ms; 32.0 ms in all"},
		{"ran before", activator.ColdStart{Queued: at(0), Granted: at(30), FirstByte: at(32)}, at(-10), "process started 0.0 ms → app listening 30.0 ms → first byte 2.0 ms; 32.0 ms in all"},
		{"clocks", activator.ColdStart{Queued: at(0), Granted: at(30), FirstByte: at(32)}, at(40), "process started 30.0 ms → app listening 0.0 ms → first byte 2.0 ms; 32.0 ms in all"},
	} {
		if got := coldLine("r", c.cold, c.started); got != "cold start of r: queued → "+c.want {
			t.Errorf("%s: %s", c.name, got)
		}
	}
}

func TestSurplusIsWhatDoesLeast(t *testing.T) {
	r := &revision{pods: []*pod{
		{name: "old", ready: true, load: 1},
		{name: "busy", ready: true, load: 9},
		{name: "young", ready: true, load: 1},
		{name: "ending", ending: true},
		{name: "starting"},
	}}
	var order []string
	for range 4 {
		p := surplus(r.active())
		p.ending = true
		order = append(order, p.name)
	}
	if want := []string{"starting", "young", "old", "busy"}; !slices.Equal(order, want) {
		t.Errorf("%v, want %v", order, want)
	}
}

func TestInboxNeverBlocks(t *testing.T) {
	i := newInbox()
	for n := range 3 * maxWaiting {
		i.Send(&statpb.WireStatMessages{Messages: []*statpb.WireStatMessage{
			{Namespace: "a", Name: "b", Stat: &statpb.Stat{AverageConcurrentRequests: float64(n)}},
		}})
		i.coldStart(activator.ColdStart{})
		i.hold(throttler.RevisionID{Namespace: "a", Name: "c"})
		i.dropped(broker.ID{Namespace: "a", Name: "d"}, "why")
	}
	<-i.changed
	l := i.take()
	if got := l.stats[throttler.RevisionID{Namespace: "a", Name: "b"}].stat.GetAverageConcurrentRequests(); got != 3*maxWaiting-1 || len(l.colds) != maxWaiting || len(l.drops) != maxWaiting {
		t.Errorf("latest %v, %d cold starts, %d drops", got, len(l.colds), len(l.drops))
	}
	if !l.held[throttler.RevisionID{Namespace: "a", Name: "c"}] {
		t.Error("nothing held")
	}
	if l := i.take(); len(l.stats)+len(l.colds)+len(l.held)+len(l.drops) > 0 {
		t.Error("not empty")
	}
}

func TestQ8URLsLeadToTheListener(t *testing.T) {
	for host, want := range map[string]string{
		"127.0.0.1": "127.0.0.1.sslip.io", "192.0.2.7": "192.0.2.7.sslip.io", "0.0.0.0": "127.0.0.1.sslip.io", "": "127.0.0.1.sslip.io",
		"::": "127.0.0.1.sslip.io", "::1": "localhost", "::ffff:127.0.0.1": "127.0.0.1.sslip.io",
		"fd00::5": "fd00-0000-0000-0000-0000-0000-0000-0005.sslip.io",
	} {
		if got := (Config{Host: host}).domain(); got != want {
			t.Errorf("%s: %s", host, got)
		}
	}
}
