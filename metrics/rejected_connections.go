package metrics

import (
	"fmt"

	"github.com/prometheus/client_golang/prometheus"
)

// RejectedConnections counts rejected connections, by reason: those that were closed because
// what came on them is no request. Its methods may be called concurrently and
// don't block.
type RejectedConnections struct {
	byReason bounded[prometheus.Counter]
}

// NewRejectedConnections registers sluice_refused_connections_total with r.
func NewRejectedConnections(r prometheus.Registerer) (*RejectedConnections, error) {
	vec := prometheus.NewCounterVec(prometheus.CounterOpts{
		Name: "sluice_refused_connections_total",
		Help: "Connections that were ended because what came on them is no request, by reason.",
	}, []string{"reason"})
	if err := register(r, vec); err != nil {
		return nil, fmt.Errorf("metrics: %w", err)
	}
	newReason := func(reason string) *prometheus.Counter {
		c := vec.WithLabelValues(reason)
		return &c
	}
	c := &RejectedConnections{byReason: bounded[prometheus.Counter]{max: maxReasons, maxLen: maxTagLen, make: newReason}}
	c.byReason.overflow = newReason("other")
	return c, nil
}

// Count adds one. Reasons should be a closed list; after the first 64 all others count as "other".
func (c *RejectedConnections) Count(reason string) { (*c.byReason.get(reason)).Inc() }
