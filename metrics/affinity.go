package metrics

import (
	"fmt"

	"github.com/prometheus/client_golang/prometheus"
)

// AffinityCounts counts the requests of a revision that have a key, by where they went: to the pod that had the key's last
// request, or elsewhere, and why.
type AffinityCounts struct {
	Namespace, Revision                             string
	Kept, MovedGone, MovedOut, MovedFull, MovedHome uint64
	Bypassed                                        bool // requests may reach the pods without the activator
}

// NewAffinity registers sluice_affinity_requests_total and sluice_affinity_bypassed with r. read is called at each scrape.
func NewAffinity(r prometheus.Registerer, read func() []AffinityCounts) error {
	labels := []string{"k8s_namespace_name", "kn_revision_name"}
	a := &affinity{
		read: read,
		requests: prometheus.NewDesc("sluice_affinity_requests_total",
			"Requests whose key was known, by where they went: kept, or moved because the key's last pod is gone, out of use or full, or because another has a better claim.",
			append(labels, "result"), nil),
		bypassed: prometheus.NewDesc("sluice_affinity_bypassed",
			"1 for a revision that asks for affinity while its requests may reach pods without the activator.", labels, nil),
	}
	if err := register(r, a); err != nil {
		return fmt.Errorf("metrics: %w", err)
	}
	return nil
}

type affinity struct {
	read               func() []AffinityCounts
	requests, bypassed *prometheus.Desc
}

// Describe implements prometheus.Collector.
func (a *affinity) Describe(to chan<- *prometheus.Desc) {
	to <- a.requests
	to <- a.bypassed
}

// Collect implements prometheus.Collector.
func (a *affinity) Collect(to chan<- prometheus.Metric) {
	for _, c := range a.read() {
		for _, r := range []struct {
			result string
			n      uint64
		}{{"kept", c.Kept}, {"gone", c.MovedGone}, {"out", c.MovedOut}, {"full", c.MovedFull}, {"better", c.MovedHome}} {
			to <- prometheus.MustNewConstMetric(a.requests, prometheus.CounterValue, float64(r.n), c.Namespace, c.Revision, r.result)
		}
		bypassed := 0.0
		if c.Bypassed {
			bypassed = 1
		}
		to <- prometheus.MustNewConstMetric(a.bypassed, prometheus.GaugeValue, bypassed, c.Namespace, c.Revision)
	}
}
