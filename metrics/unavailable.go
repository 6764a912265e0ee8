package metrics

import (
	"fmt"

	"github.com/prometheus/client_golang/prometheus"
)

// labelCause says why a revision or its app can't serve.
const labelCause = "cause"

func unavailableVec(help string) *prometheus.CounterVec {
	return prometheus.NewCounterVec(prometheus.CounterOpts{Name: "sluice_revision_unavailable_total", Help: help},
		[]string{labelNamespace, labelRevision, labelCause})
}

// Unavailable counts, in a pod, the requests and probes that failed because its app couldn't serve, by cause. Its method may be called concurrently and doesn't block.
type Unavailable struct{ byCause *prometheus.CounterVec }

// NewUnavailable registers sluice_revision_unavailable_total with r.
func NewUnavailable(r prometheus.Registerer, namespace, revision string) (*Unavailable, error) {
	vec := unavailableVec("Requests that failed, and probes that were answered no, because the app couldn't be served to, by cause.")
	if err := register(r, vec); err != nil {
		return nil, fmt.Errorf("metrics: %w", err)
	}
	return &Unavailable{vec.MustCurryWith(prometheus.Labels{labelNamespace: namespace, labelRevision: revision})}, nil
}

// Count adds one. Causes are a closed list.
func (u *Unavailable) Count(cause string) { u.byCause.WithLabelValues(cause).Inc() }
