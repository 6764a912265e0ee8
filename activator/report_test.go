package activator_test

import (
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/sluice-proxy/sluice/activator"
	"github.com/sluice-proxy/sluice/metrics/statpb"
)

// reports keeps what it is sent.
type reports struct {
	mu  sync.Mutex
	all []*statpb.WireStatMessage
}

func (r *reports) Send(m *statpb.WireStatMessages) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.all = append(r.all, m.Messages...)
}

func (r *reports) list() []*statpb.WireStatMessage {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.all[:len(r.all):len(r.all)]
}

// TestReports: the first request of an idle revision is told at once, further ones each period while they wait, and an
// idle revision once with zeros.
func TestReports(t *testing.T) {
	t.Parallel()
	r := &reports{}
	f := newFront(t, activator.Config{Reporter: r, PodName: "activator-1", ReportPeriod: 100 * time.Millisecond})
	f.UpdateRevision(activator.Revision{ID: hello})
	begin := time.Now()
	done := make(chan []answer)
	go func() { done <- together(3, func(int) answer { return f.get("/") }) }()
	await(t, "the first report", func() bool { return len(r.list()) > 0 })
	first := r.list()[0]
	if first.Namespace != "default" || first.Name != "hello-00001" || first.Stat.PodName != "activator-1" ||
		first.Stat.AverageConcurrentRequests != 1 || first.Stat.RequestCount != 1 {
		t.Errorf("first: %v", first)
	}
	if d := time.Since(begin); d > 90*time.Millisecond {
		t.Logf("the first report came after %v", d)
	}
	await(t, "a report of all three", func() bool {
		all := r.list()
		return all[len(all)-1].Stat.AverageConcurrentRequests == 3
	})
	p := newPod(t, "pod-1", 0, false, nil)
	f.UpdateEndpoints(hello, endpointsOf(p))
	for _, a := range <-done {
		if !a.ok() {
			t.Fatal(a)
		}
	}
	await(t, "a report of zeros", func() bool {
		all := r.list()
		last := all[len(all)-1].Stat
		return last.AverageConcurrentRequests == 0 && last.RequestCount == 0
	})
	total := 0.0
	for _, m := range r.list() {
		total += m.Stat.RequestCount
		if m.Stat.ProxiedRequestCount != 0 || m.Stat.AverageProxiedConcurrentRequests != 0 {
			t.Errorf("proxied: %v", m)
		}
	}
	if total != 3 {
		t.Errorf("%v requests reported in all", total)
	}
	n := len(r.list())
	time.Sleep(250 * time.Millisecond)
	if len(r.list()) != n {
		t.Error("an idle revision goes on being reported")
	}
	f.get("/")
	await(t, "the next first request", func() bool { return len(r.list()) > n })
	if s := r.list()[n].Stat; s.RequestCount != 1 || s.AverageConcurrentRequests != 1 {
		t.Errorf("it was reported as %v", s)
	}
}

// TestProbesAreNotReported: neither the kubelet's nor the network's, nor what no revision is known for.
func TestProbesAreNotReported(t *testing.T) {
	r := &reports{}
	f := newFront(t, activator.Config{Reporter: r, ReportPeriod: 10 * time.Millisecond})
	f.UpdateRevision(activator.Revision{ID: hello, Timeouts: timeout(10 * time.Millisecond)})
	f.get("/", "User-Agent", "kube-probe/1")
	f.get("/", "K-Network-Probe", "activator")
	f.get("/", "Host", "unknown.default.svc.cluster.local")
	time.Sleep(30 * time.Millisecond)
	if all := r.list(); len(all) > 0 {
		t.Errorf("reported %v", all)
	}
}

func gather(t *testing.T, reg *prometheus.Registry) string {
	t.Helper()
	families, err := reg.Gather()
	if err != nil {
		t.Fatal(err)
	}
	var b strings.Builder
	for _, f := range families {
		for _, m := range f.Metric {
			b.WriteString(f.GetName())
			for _, l := range m.Label {
				b.WriteString("," + l.GetName() + "=" + l.GetValue())
			}
			switch {
			case m.Gauge != nil:
				b.WriteString(" " + prometheusNumber(m.Gauge.GetValue()))
			case m.Counter != nil:
				b.WriteString(" " + prometheusNumber(m.Counter.GetValue()))
			case m.Histogram != nil:
				b.WriteString(" " + prometheusNumber(float64(m.Histogram.GetSampleCount())))
			}
			b.WriteByte('\n')
		}
	}
	return b.String()
}

func TestMetrics(t *testing.T) {
	reg := prometheus.NewRegistry()
	f := newFront(t, activator.Config{Registerer: reg, ReportPeriod: 10 * time.Millisecond})
	release, unblock := blocking()
	defer unblock()
	p := newPod(t, "pod-1", 0, false, func(http.ResponseWriter, *http.Request) { <-release })
	f.UpdateRevision(activator.Revision{ID: hello, Limit: 1, Service: "hello", Configuration: "conf"})
	f.UpdateEndpoints(hello, endpointsOf(p))
	done := make(chan []answer)
	go func() { done <- together(3, func(int) answer { return f.get("/") }) }()
	f.awaitWaiting(t, 2)
	has := func(line string) func() bool {
		return func() bool { return strings.Contains("\n"+gather(t, reg), "\n"+line+"\n") }
	}
	await(t, "queued", has("kn_revision_request_queued,k8s_namespace_name=default,kn_revision_name=hello-00001 2"))
	await(t, "active", has("kn_revision_request_active,k8s_namespace_name=default,kn_revision_name=hello-00001 1"))
	await(t, "concurrency", has("kn_revision_request_concurrency,k8s_namespace_name=default,kn_configuration_name=conf,kn_revision_name=hello-00001,kn_service_name=hello 3"))
	unblock()
	<-done
	f.get("/", "Host", "example.com")
	await(t, "the error", has("sluice_proxy_errors_total,reason=unknown_revision 1"))
	await(t, "queued", has("kn_revision_request_queued,k8s_namespace_name=default,kn_revision_name=hello-00001 0"))
	await(t, "active", has("kn_revision_request_active,k8s_namespace_name=default,kn_revision_name=hello-00001 0"))
	await(t, "durations", has("http_server_request_duration_seconds,http_response_status_code=200,k8s_namespace_name=default,kn_configuration_name=conf,kn_revision_name=hello-00001,kn_service_name=hello 3"))
	f.DeleteRevision(hello)
	if all := gather(t, reg); strings.Contains(all, "hello") {
		t.Errorf("after the revision was deleted:\n%s", all)
	}
	if _, err := activator.New(activator.Config{Registerer: reg}, nil); err == nil {
		t.Error("the same registry was accepted twice")
	}
}
