package activator

import (
	"github.com/sluice-proxy/sluice/metrics"
	"github.com/sluice-proxy/sluice/proxy"
)

// collectors are the activator's Prometheus collectors.
type collectors struct {
	revisions *metrics.ActivatorCollectors
	errors    *metrics.ProxyErrors
	cold      *metrics.ColdStarts
	rejected  *metrics.RejectedConnections
	announced *metrics.Announcements
}

func newCollectors(c Config, budgets func() []metrics.Budget, affinity func() []metrics.AffinityCounts) (*collectors, error) {
	ac := metrics.ActivatorConfig{Classic: c.ClassicMetrics, Pod: c.PodName}
	if conn, ok := c.Reporter.(interface {
		Connected() bool
		Errors() uint64
	}); ok {
		ac.Connected, ac.ConnectionErrors = conn.Connected, conn.Errors
	}
	if loss, ok := c.Reporter.(interface{ Dropped() uint64 }); ok {
		ac.LostReports = loss.Dropped
	}
	revisions, err := metrics.NewActivatorCollectors(c.Registerer, ac)
	if err != nil {
		return nil, err
	}
	errs, err := metrics.NewProxyErrors(c.Registerer, metrics.Names(proxy.Reasons())...)
	if err != nil {
		return nil, err
	}
	cold, err := metrics.NewColdStarts(c.Registerer)
	if err != nil {
		return nil, err
	}
	rejections, err := metrics.NewRejectedConnections(c.Registerer, metrics.Names(proxy.Rejections())...)
	if err != nil {
		return nil, err
	}
	announced, err := metrics.NewAnnouncements(c.Registerer, announceResults(), relayings())
	if err != nil {
		return nil, err
	}
	if err := metrics.NewBudgets(c.Registerer, budgets); err != nil {
		return nil, err
	}
	if err := metrics.NewAffinity(c.Registerer, affinity); err != nil {
		return nil, err
	}
	return &collectors{revisions, errs, cold, rejections, announced}, nil
}

// countRejected returns the counter of rejected connections; nil when nothing is counted.
func (m *collectors) countRejected() func(proxy.Rejection) {
	if m == nil {
		return nil
	}
	return func(r proxy.Rejection) { m.rejected.Count(r.String()) }
}

// of returns the collectors of r; nil, which measures nothing, when there are no collectors.
func (m *collectors) of(r Revision) *metrics.RevisionCollectors {
	if m == nil {
		return nil
	}
	return m.revisions.Revision(metrics.RevisionLabels{
		Namespace: r.ID.Namespace, Revision: r.ID.Name, Service: r.Service, Configuration: r.Configuration,
	})
}

func (m *collectors) forget(r Revision) {
	if m != nil {
		m.revisions.Forget(metrics.RevisionKey(r.ID))
	}
}

func (m *collectors) count(r proxy.Reason) {
	if m != nil && r != proxy.ReasonNone {
		m.errors.Count(r.String())
	}
}

func (m *collectors) coldStart(c ColdStart) {
	if m != nil {
		m.cold.Observe(c.Granted.Sub(c.Queued), c.FirstByte.Sub(c.Granted))
	}
}

// received counts an announcement by its result.
func (m *collectors) received(result string) {
	if m != nil {
		m.announced.Received(result)
	}
}

// relayed counts one that was passed on.
func (m *collectors) relayed(result string) {
	if m != nil {
		m.announced.Relayed(result)
	}
}
