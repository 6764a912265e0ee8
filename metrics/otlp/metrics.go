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
	failing  bool // Failed has been told; of Run
}

// NewMetrics returns what Run needs, or the error of Validate, or of a file that can't be used. Counts are said to begin
// now, unless their family knows better.
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
				m.tell(err)
			}
		case <-ctx.Done():
			flush := m.client.config.FlushTimeout
			m.tell(m.export(context.WithoutCancel(ctx), flush))
			return nil
		}
	}
}

// export sends what there is. Of a Gatherer that fails in part the rest is sent.
func (m *Metrics) export(ctx context.Context, limit time.Duration) error {
	families, err := m.gatherer.Gather()
	labels, all := convert(families, m.begun, time.Now())
	if len(all) == 0 {
		return err
	}
	return errors.Join(err, m.client.send(ctx, signal(resource(labels, m.client.config.Resource), all), limit))
}

func (m *Metrics) tell(err error) {
	if failing := err != nil; failing != m.failing {
		m.failing = failing
		if m.client.config.Failed != nil {
			m.client.config.Failed(err)
		}
	}
}
