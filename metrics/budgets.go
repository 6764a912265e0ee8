package metrics

import (
	"fmt"

	"github.com/prometheus/client_golang/prometheus"
)

// Budget is a bound on what is held for clients, and what of it is in use.
type Budget struct {
	Name        string
	Used, Limit int64
	Refused     uint64 // how often something exceeded it
}

// NewBudgets registers sluice_budget_used, sluice_budget_limit and sluice_budget_refused_total with r. read is called at
// each scrape; it should always return the same names.
func NewBudgets(r prometheus.Registerer, read func() []Budget) error {
	label := []string{"budget"}
	b := &budgets{
		read:    read,
		used:    prometheus.NewDesc("sluice_budget_used", "What is held of what is bounded, in bytes where the name says so.", label, nil),
		limit:   prometheus.NewDesc("sluice_budget_limit", "The bound on it.", label, nil),
		refused: prometheus.NewDesc("sluice_budget_refused_total", "What was not let in, or had to go for others, because of the bound.", label, nil),
	}
	if err := register(r, b); err != nil {
		return fmt.Errorf("metrics: %w", err)
	}
	return nil
}

type budgets struct {
	read                 func() []Budget
	used, limit, refused *prometheus.Desc
}

// Describe implements prometheus.Collector.
func (b *budgets) Describe(to chan<- *prometheus.Desc) {
	to <- b.used
	to <- b.limit
	to <- b.refused
}

// Collect implements prometheus.Collector.
func (b *budgets) Collect(to chan<- prometheus.Metric) {
	for _, x := range b.read() {
		to <- prometheus.MustNewConstMetric(b.used, prometheus.GaugeValue, float64(x.Used), x.Name)
		to <- prometheus.MustNewConstMetric(b.limit, prometheus.GaugeValue, float64(x.Limit), x.Name)
		to <- prometheus.MustNewConstMetric(b.refused, prometheus.CounterValue, float64(x.Refused), x.Name)
	}
}
