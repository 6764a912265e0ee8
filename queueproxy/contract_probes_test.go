package queueproxy

import (
	"net/http"
	"sync/atomic"
	"testing"
	"time"

	"github.com/sluice-proxy/sluice/internal/contracttest"
	"github.com/sluice-proxy/sluice/internal/knative"
)

// The rows of the contract's table of probes that are the queue-proxy's.
func TestContractProbes(t *testing.T) {
	var reachedApp, appReady atomic.Bool
	app := startApp(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("User-Agent") == userAgent {
			if !appReady.Load() {
				w.WriteHeader(http.StatusInternalServerError)
			}
			return
		}
		reachedApp.Store(true)
	}))
	p := startPod(t, app, func(c *Config) {
		c.ContainerConcurrency = 1
		c.Probes = []Probe{{Kind: ProbeHTTP, Addr: app}}
		c.DrainQuiet = time.Minute
	})
	const (
		agent, probe, hash = "User-Agent", knative.HeaderProbe, knative.HeaderHash
		whole              = "unexpected probe header value: "
		noHash             = "a probe request must contain a non-empty \"K-Network-Hash\" header\n"
	)
	type row struct {
		name   string
		fields []string
		status int
		body   string
		app    bool // it is for the app
	}
	check := func(t *testing.T, rows []row) {
		for _, r := range rows {
			for _, path := range []string{"/", "//healthz", "/any?x"} {
				for version, client := range map[string]*http.Client{"HTTP/1.1": p.client, "h2c": p.h2c} {
					reachedApp.Store(false)
					got := p.do(client, p.request(path, r.fields...))
					if got.status != r.status || got.body != r.body || reachedApp.Load() != r.app {
						t.Errorf("%s, %s %s: %d %q, app %v; want %d %q, app %v", r.name, version, path,
							got.status, got.body, reachedApp.Load(), r.status, r.body, r.app)
					}
					if own := got.header.Get(knative.HeaderFeatures); r.status == 200 && !r.app && own != knative.FeatureNoQueue {
						t.Errorf("%s: features %q", r.name, own)
					}
					if r.status >= 400 && got.header.Get("Proxy-Status") == "" {
						t.Errorf("%s: no Proxy-Status", r.name)
					}
					if (r.status == 503) != (got.header.Get("Retry-After") != "") {
						t.Errorf("%s: Retry-After %q with a %d", r.name, got.header.Get("Retry-After"), r.status)
					}
				}
			}
		}
	}
	t.Run("not ready", func(t *testing.T) {
		check(t, []row{
			{"kubelet", []string{agent, kubelet, probe, "queue"}, 503, "", false},
			{"autoscaler", []string{agent, autoscaler, probe, "queue"}, 503, "", false},
			{"ingress", []string{probe, "probe", hash, "h"}, 200, "", false},
		})
	})
	appReady.Store(true)
	t.Run("ready", func(t *testing.T) {
		check(t, []row{
			{"kubelet", []string{agent, kubelet, probe, "queue"}, 200, "queue", false},
			{"activator", []string{agent, activator, probe, "queue"}, 200, "queue", false},
			{"autoscaler", []string{agent, autoscaler, probe, "queue"}, 200, "queue", false},
			{"kubelet without value", []string{agent, kubelet}, 400, whole + "\n", false},
			{"activator with another's value", []string{agent, activator, probe, "activator"}, 400, whole + "activator\n", false},
			{"autoscaler asks the activator", []string{agent, autoscaler, probe, "activator"}, 400, whole + "activator\n", false},
			{"the agent wins", []string{agent, kubelet, probe, "probe", hash, "h"}, 400, whole + "probe\n", false},
			{"ingress", []string{probe, "probe", hash, "h"}, 200, "", false},
			{"ingress without hash", []string{probe, "probe"}, 400, noHash, false},
			{"an unknown value", []string{probe, "x"}, 400, whole + "x\n", false},
			{"queue, but not from a prober", []string{probe, "queue"}, 400, whole + "queue\n", false},
			{"no probe at all", []string{agent, "curl"}, 200, "", true},
			{"the activator's mark", []string{"K-Kubelet-Probe", "1"}, 200, "", true},
		})
		if got := p.get("/", probe, "probe", hash, "abc").header.Get(hash); got != "abc" {
			t.Errorf("the hash comes back as %q", got)
		}
	})
	if r := p.policy.stats.Report(time.Now()); r.Requests != float64(2*2*3) {
		t.Errorf("%v requests counted, want only those for the app", r.Requests)
	}
	p.policy.drain.start()
	t.Run("draining", func(t *testing.T) {
		check(t, []row{
			{"kubelet", []string{agent, kubelet, probe, "queue"}, 503, "shutting down\n", false},
			{"activator", []string{agent, activator, probe, "queue"}, 503, "shutting down\n", false},
			{"ingress", []string{probe, "probe", hash, "h"}, 503, "shutting down\n", false},
			{"a request", []string{agent, "curl"}, 200, "", true},
		})
	})
	p.policy.drain.idle = 0 // so that the pod ends now
	p.policy.drain.probeAnswered()
	contracttest.Follow(t, []contracttest.Rule{
		{Says: "concurrent probe requests share one check", Shown: contracttest.By(TestSharedRunsOnce, TestProbeSlowerThanItsProber)},
		{Says: "SERVING_READINESS_PROBE is a probe or a list; null is skipped, {} is never ready, empty is always ready", Shown: contracttest.By(TestParseProbes, TestNeverReady)},
		{Says: "httpGet: 200 to 399, redirects not followed, kube-probe/, its own headers", Shown: contracttest.By(TestHTTPProbe, TestHTTPSProbe)},
		{Says: "tcpSocket and grpc", Shown: contracttest.By(TestTCPProbe, TestGRPCProbeOfARealServer, TestGRPCProbeOfSomethingElse)},
		{Says: "periodSeconds 0 asks until successThreshold, else once", Shown: contracttest.By(TestReadinessAfterListen, TestPlainProbeAsksOnce)},
		{Says: "timeoutSeconds", Shown: contracttest.By(TestProbeTimeout)},
		{Says: "all containers must be ready", Shown: contracttest.By(TestSeveralContainers)},
		{Says: "ENABLE_HTTP2_AUTO_DETECTION: h2c first, then HTTP/1.1", Shown: contracttest.By(TestHTTP2AutoDetection, TestHTTP2AutoDetectionOfAnAppThatIsDown)},
		{Says: "an activator's probe is held until the app is ready", Shown: contracttest.By(TestPeers30HeldProbe, TestPeers30ListenIsNoticed)},
		{Says: "probes are outside limit and stats", Shown: contracttest.By(TestProbesAreOutsideTheLimit)},
		{Says: "a drain answers held probes", Shown: contracttest.By(TestDrainEndsHeldProbes)},
	})
}
