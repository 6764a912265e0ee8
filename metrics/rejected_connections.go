package metrics

import (
	"fmt"
	"slices"

	"github.com/prometheus/client_golang/prometheus"
)

// RejectedConnections counts rejected connections, by reason: those that were closed because
// what came on them is no request. Its methods may be called concurrently and
// don't block.
type RejectedConnections struct {
	byReason *prometheus.CounterVec
	reasons  []string
}

// NewRejectedConnections registers sluice_refused_connections_total with r. The reasons given are all that there are. Each
// shows from its first time on: most never come, and each pod has them.
func NewRejectedConnections(r prometheus.Registerer, reasons ...string) (*RejectedConnections, error) {
	vec := prometheus.NewCounterVec(prometheus.CounterOpts{
		Name: "sluice_refused_connections_total",
		Help: "Connections that were ended because what came on them is no request, by reason.",
	}, []string{"reason"})
	if err := register(r, vec); err != nil {
		return nil, fmt.Errorf("metrics: %w", err)
	}
	vec.WithLabelValues(otherReason)
	return &RejectedConnections{vec, reasons}, nil
}

// otherReason is what is not in the list.
const otherReason = "other"

// Count adds one.
func (c *RejectedConnections) Count(reason string) {
	if !slices.Contains(c.reasons, reason) {
		reason = otherReason
	}
	c.byReason.WithLabelValues(reason).Inc()
}

// Names are the values of a closed list, as values of a label.
func Names[T fmt.Stringer](all []T) []string {
	names := make([]string, len(all))
	for i, v := range all {
		names[i] = v.String()
	}
	return names
}
