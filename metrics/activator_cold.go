package metrics

import (
	"fmt"
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// ColdStarts measures, over all revisions, requests that arrived while their revision had no pod to use. Its methods may
// be called concurrently and don't block.
type ColdStarts struct{ wait, firstByte, total prometheus.Observer }

// NewColdStarts registers sluice_cold_start_seconds with r. Its label part says what was measured: "wait" until a pod
// could take the request, "first_byte" from then until the head of its response, and "total", which is both.
func NewColdStarts(r prometheus.Registerer) (*ColdStarts, error) {
	vec := prometheus.NewHistogramVec(prometheus.HistogramOpts{
		Name: "sluice_cold_start_seconds",
		Help: "Time that a request took which came while its revision had no pod, by part.",
		// From a process that starts on this machine to a pod whose image is pulled on a new node.
		Buckets: []float64{0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 120, 300},
	}, []string{"part"})
	if err := register(r, vec); err != nil {
		return nil, fmt.Errorf("metrics: %w", err)
	}
	return &ColdStarts{
		wait:      vec.WithLabelValues("wait"),
		firstByte: vec.WithLabelValues("first_byte"),
		total:     vec.WithLabelValues("total"),
	}, nil
}

// Observe counts one cold start.
func (c *ColdStarts) Observe(wait, firstByte time.Duration) {
	c.wait.Observe(wait.Seconds())
	c.firstByte.Observe(firstByte.Seconds())
	c.total.Observe((wait + firstByte).Seconds())
}
