package metrics

import (
	"errors"
	"fmt"

	"github.com/prometheus/client_golang/prometheus"
)

// ProxyErrors counts errors that a proxy answered itself, by reason. Its methods may be called concurrently and don't block.
type ProxyErrors struct {
	byReason bounded[prometheus.Counter]
}

// maxReasons is more than the closed list of reasons has; it bounds the number of
// series if a caller passes something else.
const maxReasons = 64

// NewProxyErrors registers sluice_proxy_errors_total with r. The reasons given
// show from the start with 0, so that a rate over the first error is right.
func NewProxyErrors(r prometheus.Registerer, reasons ...string) (*ProxyErrors, error) {
	if len(reasons) > maxReasons {
		return nil, errors.New("metrics: too many reasons")
	}
	vec := prometheus.NewCounterVec(prometheus.CounterOpts{
		Name: "sluice_proxy_errors_total",
		Help: "Requests that the proxy failed or answered itself with an error, by reason.",
	}, []string{"reason"})
	if err := register(r, vec); err != nil {
		return nil, fmt.Errorf("metrics: %w", err)
	}
	p := &ProxyErrors{}
	newReason := func(name string) *prometheus.Counter {
		c := vec.WithLabelValues(name)
		return &c
	}
	p.byReason = bounded[prometheus.Counter]{max: maxReasons, maxLen: maxTagLen, make: newReason}
	p.byReason.overflow = newReason("other")
	for _, reason := range reasons {
		p.byReason.get(reason)
	}
	return p, nil
}

// Count adds one error of the reason.
func (p *ProxyErrors) Count(reason string) { (*p.byReason.get(reason)).Inc() }
