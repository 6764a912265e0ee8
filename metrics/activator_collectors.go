package metrics

import (
	"fmt"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// ActivatorConfig describes an activator to its collectors.
type ActivatorConfig struct {
	// Classic selects the names in use up to Knative 1.18 instead of the
	// current ones.
	Classic bool
	// Pod is the activator's own, a label of the classic names.
	Pod string
	// Connected and ConnectionErrors are read at each scrape: the state of
	// the connection to the autoscaler, see StatSender. Current names only.
	// Nil: no such metric.
	Connected        func() bool
	ConnectionErrors func() uint64
	// LostReports is read at each scrape: the reports that did not reach the
	// autoscaler, see StatSender.Dropped. Nil: no such metric.
	LostReports func() uint64
}

// RevisionLabels name a revision in the activator's metrics.
type RevisionLabels struct{ Namespace, Service, Configuration, Revision string }

// ActivatorCollectors are an activator's request metrics per revision. Methods
// may be called concurrently.
type ActivatorCollectors struct {
	vecs        revisionVecs
	unavailable *prometheus.CounterVec

	mu  sync.RWMutex
	all map[RevisionKey]*RevisionCollectors
}

// revisionVecs is what differs between the current and the classic names.
type revisionVecs interface {
	collectors() []prometheus.Collector
	gauges(l RevisionLabels) (queued, active, concurrency prometheus.Gauge)
	series(l RevisionLabels, status int) *series
	forget(l RevisionLabels, statuses []statusSeries)
}

// NewActivatorCollectors registers the collectors with r.
func NewActivatorCollectors(r prometheus.Registerer, c ActivatorConfig) (*ActivatorCollectors, error) {
	a := &ActivatorCollectors{all: map[RevisionKey]*RevisionCollectors{}}
	if c.Classic {
		a.vecs = newClassicVecs(c.Pod)
	} else {
		a.vecs = newCurrentVecs(c)
	}
	a.unavailable = unavailableVec("Requests that failed, or waited for over a second, because the revision had no pod to take them, by cause.")
	if err := register(r, append(append(a.vecs.collectors(), a.unavailable), lostReports(c)...)...); err != nil {
		return nil, fmt.Errorf("metrics: %w", err)
	}
	return a, nil
}

func lostReports(c ActivatorConfig) []prometheus.Collector {
	if c.LostReports == nil {
		return nil
	}
	return []prometheus.Collector{prometheus.NewCounterFunc(prometheus.CounterOpts{
		Name: "sluice_activator_reports_lost_total",
		Help: "Reports that did not get to the autoscaler while it was away.",
	}, func() float64 { return float64(c.LostReports()) })}
}

// Revision returns the collectors of a revision, whose series exist from the
// first call on. Callers keep it until Forget.
func (a *ActivatorCollectors) Revision(l RevisionLabels) *RevisionCollectors {
	key := RevisionKey{l.Namespace, l.Revision}
	a.mu.RLock()
	c := a.all[key]
	a.mu.RUnlock()
	if c != nil {
		return c
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	if c := a.all[key]; c != nil {
		return c
	}
	c = &RevisionCollectors{vecs: a.vecs, unavailable: a.unavailable, labels: l}
	c.queued, c.active, c.concurrency = a.vecs.gauges(l)
	a.all[key] = c
	return c
}

// Forget removes the series of a deleted revision. Requests of it that have not
// ended may go on calling Observe, which then has no effect.
func (a *ActivatorCollectors) Forget(key RevisionKey) {
	a.mu.Lock()
	defer a.mu.Unlock()
	c := a.all[key]
	if c == nil {
		return
	}
	delete(a.all, key)
	c.statuses.mu.Lock()
	defer c.statuses.mu.Unlock()
	c.gone = true
	a.vecs.forget(c.labels, c.statuses.all())
	a.unavailable.DeletePartialMatch(prometheus.Labels{labelNamespace: key.Namespace, labelRevision: key.Name})
}

// RevisionCollectors are the series of one revision. Methods may be called
// concurrently and don't block; for a status seen before they don't allocate.
type RevisionCollectors struct {
	vecs                        revisionVecs
	unavailable                 *prometheus.CounterVec
	labels                      RevisionLabels
	queued, active, concurrency prometheus.Gauge
	statuses                    byStatus
	gone                        bool // guarded by statuses.mu
}

// AddQueued changes the number of requests that wait for a pod.
func (c *RevisionCollectors) AddQueued(n int) { c.queued.Add(float64(n)) }

// AddActive changes the number of requests that a pod is working on.
func (c *RevisionCollectors) AddActive(n int) { c.active.Add(float64(n)) }

// SetConcurrency sets the average of the last period.
func (c *RevisionCollectors) SetConcurrency(v float64) { c.concurrency.Set(v) }

// AddUnavailable counts requests that failed, or waited for over a second,
// because the revision had no pod to take them. Causes are a closed list.
func (c *RevisionCollectors) AddUnavailable(cause string, requests int) {
	c.statuses.mu.Lock() // a forgotten revision gets no new series
	defer c.statuses.mu.Unlock()
	if !c.gone {
		c.unavailable.WithLabelValues(c.labels.Namespace, c.labels.Revision, cause).Add(float64(requests))
	}
}

// Observe counts a request answered with status that took d from its arrival,
// waiting included. A number that is no HTTP status is counted as 0.
func (c *RevisionCollectors) Observe(status int, d time.Duration) {
	if s := c.statuses.get(knownStatus(status), c.newSeries); s != nil {
		s.observe(d)
	}
}

// newSeries is called with statuses.mu held, so a forgotten revision gets no new ones.
func (c *RevisionCollectors) newSeries(status int) *series {
	if c.gone {
		return nil
	}
	return c.vecs.series(c.labels, status)
}
