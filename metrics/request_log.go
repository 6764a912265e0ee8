package metrics

import (
	"fmt"

	"github.com/prometheus/client_golang/prometheus"
)

// RequestLog counts what went wrong in a log of requests. Its methods are called at each scrape, concurrently, and must not
// block.
type RequestLog interface {
	Failed() uint64  // lines that are incomplete, since the operator's template failed
	Dropped() uint64 // lines that were lost
}

// RegisterRequestLog registers sluice_request_log_template_failures_total and sluice_request_log_lines_lost_total with r.
func RegisterRequestLog(r prometheus.Registerer, l RequestLog) error {
	counter := func(name, help string, read func() uint64) prometheus.Collector {
		return prometheus.NewCounterFunc(prometheus.CounterOpts{Name: name, Help: help}, func() float64 { return float64(read()) })
	}
	if err := register(r,
		counter("sluice_request_log_template_failures_total",
			"Lines of the request log that lack what the operator's template failed to make.", l.Failed),
		counter("sluice_request_log_lines_lost_total",
			"Lines of the request log that were lost, mostly because stdout was too slow.", l.Dropped),
	); err != nil {
		return fmt.Errorf("metrics: %w", err)
	}
	return nil
}
