package otlp

import (
	"cmp"
	"context"
	"errors"
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// minInterval keeps an interval in the wrong unit, such as 60 ns, from taking a core.
const minInterval = 100 * time.Millisecond

// Metrics pushes the families of a Gatherer at an interval.
type Metrics struct {
	client   *client
	gatherer prometheus.Gatherer
	begun    time.Time
	failing  bool // Config.Failed has been called with an error; used by Run alone
}

// NewMetrics returns a Metrics for Run, or the error of Validate, or of a file that can't be used. Counts are exported as
// starting now, unless their family has a created timestamp.
func NewMetrics(c Config) (*Metrics, error) {
	if c.Gatherer == nil {
		return nil, errors.New("otlp: Config.Gatherer is missing")
	}
	cl, err := newClient(c, "/opentelemetry.proto.collector.metrics.v1.MetricsService/Export")
	if err != nil {
		return nil, err
	}
	cl.config.Interval = max(cmp.Or(c.Interval, DefaultInterval), minInterval)
	cl.config.FlushTimeout = cmp.Or(c.FlushTimeout, DefaultFlushTimeout)
	return &Metrics{client: cl, gatherer: c.Gatherer, begun: time.Now()}, nil
}

// Run exports at each interval, trying again within it, until ctx is done, and then once more within FlushTimeout. It
// returns nil.
func (m *Metrics) Run(ctx context.Context) error {
	defer m.client.close()
	interval := m.client.config.Interval
	t := time.NewTicker(interval)
	defer t.Stop()
	for {
		select {
		case <-t.C:
			err := m.export(ctx, min(interval, maxRetry))
			if ctx.Err() == nil {
				m.report(err)
			}
		case <-ctx.Done():
			flush := m.client.config.FlushTimeout
			m.report(m.export(context.WithoutCancel(ctx), flush))
			return nil
		}
	}
}

// export sends what the Gatherer returns, also when that is incomplete because of an error.
func (m *Metrics) export(ctx context.Context, limit time.Duration) error {
	families, err := m.gatherer.Gather()
	labels, all := convert(families, m.begun, time.Now())
	if len(all) == 0 {
		return err
	}
	return errors.Join(err, m.client.send(ctx, signal(resource(labels, m.client.config.Resource), all), limit))
}

func (m *Metrics) report(err error) {
	if failing := err != nil; failing != m.failing {
		m.failing = failing
		if m.client.config.Failed != nil {
			m.client.config.Failed(err)
		}
	}
}
