package metrics

import (
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

func TestActivatorCollectorsCurrentNames(t *testing.T) {
	r := prometheus.NewPedanticRegistry()
	up := true
	a, err := NewActivatorCollectors(r, ActivatorConfig{
		Connected: func() bool { return up }, ConnectionErrors: func() uint64 { return 3 },
	})
	if err != nil {
		t.Fatal(err)
	}
	v := a.Revision(RevisionLabels{"ns", "svc", "conf", "rev"})
	v.AddQueued(5)
	v.AddQueued(-2)
	v.AddActive(2)
	v.SetConcurrency(1.5)
	v.Observe(200, 20*time.Millisecond)
	short := `{k8s_namespace_name="ns",kn_revision_name="rev"}`
	expect(t, exposed(t, r), map[string]string{
		"kn_revision_request_queued" + short: "3",
		"kn_revision_request_active" + short: "2",
		`kn_revision_request_concurrency{k8s_namespace_name="ns",kn_configuration_name="conf",kn_revision_name="rev",kn_service_name="svc"}`:                                                        "1.5",
		`http_server_request_duration_seconds_count{http_response_status_code="200",k8s_namespace_name="ns",kn_configuration_name="conf",kn_revision_name="rev",kn_service_name="svc"}`:             "1",
		`http_server_request_duration_seconds_bucket{http_response_status_code="200",k8s_namespace_name="ns",kn_configuration_name="conf",kn_revision_name="rev",kn_service_name="svc",le="0.025"}`: "1",
		`kn_activator_stats_conn_reachable{peer="autoscaler"}`:    "1",
		`kn_activator_stats_conn_errors_total{peer="autoscaler"}`: "3",
		"# TYPE kn_activator_stats_conn_errors_total":             "counter",
	})
	up = false
	expect(t, exposed(t, r), map[string]string{`kn_activator_stats_conn_reachable{peer="autoscaler"}`: "0"})
}

func TestActivatorCollectorsClassicNames(t *testing.T) {
	r := prometheus.NewPedanticRegistry()
	a, err := NewActivatorCollectors(r, ActivatorConfig{Classic: true, Pod: "act"})
	if err != nil {
		t.Fatal(err)
	}
	v := a.Revision(RevisionLabels{"ns", "", "conf", "rev"})
	v.AddQueued(1) // these two have no classic name
	v.AddActive(1)
	v.SetConcurrency(2)
	v.Observe(502, 7*time.Millisecond)
	head := `{configuration_name="conf",container_name="activator",namespace_name="ns",pod_name="act",`
	code := head + `response_code="502",response_code_class="5xx",revision_name="rev",service_name="unknown"`
	got := exposed(t, r)
	expect(t, got, map[string]string{
		"activator_request_count" + code + "}":                                                 "1",
		"activator_request_latencies_bucket" + code + `,le="10"}`:                              "1",
		"activator_request_latencies_bucket" + code + `,le="5"}`:                               "0",
		"activator_request_concurrency" + head + `revision_name="rev",service_name="unknown"}`: "2",
	})
	a.Forget(RevisionKey{"ns", "rev"})
	if got := exposed(t, r); len(got) != 0 {
		t.Errorf("left after Forget: %v", got)
	}
}

// TestPeers18LossIsAMetric: under both sets of names.
func TestPeers18LossIsAMetric(t *testing.T) {
	for _, classic := range []bool{false, true} {
		r := prometheus.NewPedanticRegistry()
		lost := uint64(7)
		if _, err := NewActivatorCollectors(r, ActivatorConfig{Classic: classic, LostReports: func() uint64 { return lost }}); err != nil {
			t.Fatal(err)
		}
		expect(t, exposed(t, r), map[string]string{
			"sluice_activator_reports_lost_total":        "7",
			"# TYPE sluice_activator_reports_lost_total": "counter",
		})
	}
}

func TestPeers23ColdStarts(t *testing.T) {
	r := prometheus.NewPedanticRegistry()
	c, err := NewColdStarts(r)
	if err != nil {
		t.Fatal(err)
	}
	c.Observe(2*time.Second, 30*time.Millisecond)
	expect(t, exposed(t, r), map[string]string{
		`sluice_cold_start_seconds_count{part="wait"}`:                   "1",
		`sluice_cold_start_seconds_sum{part="wait"}`:                     "2",
		`sluice_cold_start_seconds_bucket{part="first_byte",le="0.025"}`: "0",
		`sluice_cold_start_seconds_bucket{part="first_byte",le="0.05"}`:  "1",
		`sluice_cold_start_seconds_sum{part="total"}`:                    "2.03",
	})
	if _, err := NewColdStarts(r); err == nil {
		t.Error("registered twice")
	}
}

func TestForgottenRevisionShowsNowhere(t *testing.T) {
	r := prometheus.NewPedanticRegistry()
	a, err := NewActivatorCollectors(r, ActivatorConfig{})
	if err != nil {
		t.Fatal(err)
	}
	keep := a.Revision(RevisionLabels{"ns", "svc", "conf", "keep"})
	gone := a.Revision(RevisionLabels{"ns", "svc", "conf", "gone"})
	if a.Revision(RevisionLabels{"ns", "svc", "conf", "gone"}) != gone {
		t.Error("a second handle of one revision")
	}
	for _, v := range []*RevisionCollectors{keep, gone} {
		v.Observe(200, time.Millisecond)
		v.Observe(404, time.Millisecond)
	}
	a.Forget(RevisionKey{"ns", "gone"})
	a.Forget(RevisionKey{"ns", "never was"})
	// A request that is still under way.
	gone.Observe(200, time.Millisecond)
	gone.Observe(500, time.Millisecond)
	gone.AddActive(-1)
	gone.SetConcurrency(1)
	got := exposed(t, r)
	for k := range got {
		if strings.Contains(k, `"gone"`) {
			t.Errorf("still there: %s", k)
		}
	}
	expect(t, got, map[string]string{
		`http_server_request_duration_seconds_count{http_response_status_code="404",k8s_namespace_name="ns",kn_configuration_name="conf",kn_revision_name="keep",kn_service_name="svc"}`: "1",
	})
	// Made again under the same name it starts from nothing.
	a.Revision(RevisionLabels{"ns", "svc", "conf", "gone"}).Observe(200, time.Millisecond)
	expect(t, exposed(t, r), map[string]string{
		`http_server_request_duration_seconds_count{http_response_status_code="200",k8s_namespace_name="ns",kn_configuration_name="conf",kn_revision_name="gone",kn_service_name="svc"}`: "1",
	})
}

func TestForgetUnderRace(t *testing.T) {
	r := prometheus.NewPedanticRegistry()
	a, err := NewActivatorCollectors(r, ActivatorConfig{})
	if err != nil {
		t.Fatal(err)
	}
	for i := range 200 {
		rev := fmt.Sprint("rev-", i)
		v := a.Revision(RevisionLabels{"ns", "svc", "conf", rev})
		var wg sync.WaitGroup
		for w := range 4 {
			wg.Go(func() { v.Observe(200+w, time.Millisecond); v.AddActive(1) })
		}
		wg.Go(func() { a.Forget(RevisionKey{"ns", rev}) })
		wg.Wait()
	}
	if got := exposed(t, r); len(got) != 0 {
		t.Errorf("%d series left", len(got))
	}
}
