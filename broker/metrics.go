package broker

import (
	"fmt"
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

const (
	labelNamespace = "namespace"
	labelBroker    = "broker"
	labelTrigger   = "trigger"
)

// metrics are a Server's collectors. It is one itself, for what is read at each scrape.
type metrics struct {
	server *Server

	received, replies                                         *prometheus.CounterVec
	deliveries, deadLetters, retries, dropped, lost           *prometheus.CounterVec
	inFlight                                                  *prometheus.GaugeVec
	attempts, latency                                         *prometheus.HistogramVec
	behind, blocked, waiting, logBytes, logEvents, logDropped *prometheus.Desc
}

func newMetrics(r prometheus.Registerer, s *Server) (*metrics, error) {
	ofBroker, ofTrigger := []string{labelNamespace, labelBroker}, []string{labelNamespace, labelBroker, labelTrigger}
	counter := func(name, help string, labels []string, more ...string) *prometheus.CounterVec {
		return prometheus.NewCounterVec(prometheus.CounterOpts{Name: name, Help: help}, append(labels[:len(labels):len(labels)], more...))
	}
	desc := func(name, help string, labels []string) *prometheus.Desc {
		return prometheus.NewDesc(name, help, labels, nil)
	}
	seconds := []float64{.001, .0025, .005, .01, .025, .05, .1, .25, .5, 1, 2.5, 5, 10, 60, 600}
	m := &metrics{
		server:      s,
		received:    counter("sluice_broker_events_total", "Events that were sent to a broker, by what became of them.", ofBroker, "result"),
		replies:     counter("sluice_broker_replies_total", "Events that subscribers replied with, and that were stored.", ofBroker),
		deliveries:  counter("sluice_broker_deliveries_total", "Attempts to send an event to a subscriber, by result.", ofTrigger, "result"),
		deadLetters: counter("sluice_broker_dead_letters_total", "Attempts to send an event to a dead letter sink, by result.", ofTrigger, "result"),
		retries:     counter("sluice_broker_retries_total", "Attempts that were made after others.", ofTrigger),
		dropped:     counter("sluice_broker_dropped_events_total", "Events that could not be delivered, and that no dead letter sink has taken.", ofTrigger),
		lost:        counter("sluice_broker_lost_events_total", "Events that were dropped from the log, or damaged, before they were delivered.", ofTrigger),
		inFlight:    prometheus.NewGaugeVec(prometheus.GaugeOpts{Name: "sluice_broker_in_flight", Help: "Events that are being sent."}, ofTrigger),
		attempts: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name: "sluice_broker_attempt_seconds", Help: "Duration of an attempt to send an event.", Buckets: seconds,
		}, ofTrigger),
		latency: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name: "sluice_broker_delivery_seconds", Help: "Time from an event's arrival until a subscriber has taken it.", Buckets: seconds,
		}, ofTrigger),
		behind:     desc("sluice_broker_behind_events", "Events in the log from the first one on that the trigger isn't done with.", ofTrigger),
		blocked:    desc("sluice_broker_blocked_keys", "Keys with events that are known and not delivered.", ofTrigger),
		waiting:    desc("sluice_broker_waiting_retries", "Events that wait for their next attempt.", ofTrigger),
		logBytes:   desc("sluice_broker_log_bytes", "Size of a broker's log.", ofBroker),
		logEvents:  desc("sluice_broker_log_events", "Events in a broker's log.", ofBroker),
		logDropped: desc("sluice_broker_log_dropped_events_total", "Events that the bounds of the log dropped while a trigger was not done with them.", ofBroker),
	}
	if err := r.Register(m); err != nil {
		return nil, fmt.Errorf("metrics of brokers: %w", err)
	}
	return m, nil
}

func (m *metrics) unregister(r prometheus.Registerer) { r.Unregister(m) }

func (m *metrics) vecs() []prometheus.Collector {
	return []prometheus.Collector{
		m.received, m.replies, m.deliveries, m.deadLetters, m.retries, m.dropped, m.lost, m.inFlight, m.attempts, m.latency,
	}
}

// Describe implements prometheus.Collector.
func (m *metrics) Describe(ch chan<- *prometheus.Desc) {
	for _, v := range m.vecs() {
		v.Describe(ch)
	}
	for _, d := range []*prometheus.Desc{m.behind, m.blocked, m.waiting, m.logBytes, m.logEvents, m.logDropped} {
		ch <- d
	}
}

// Collect implements prometheus.Collector.
func (m *metrics) Collect(ch chan<- prometheus.Metric) {
	for _, v := range m.vecs() {
		v.Collect(ch)
	}
	gauge := func(d *prometheus.Desc, v float64, labels ...string) {
		ch <- prometheus.MustNewConstMetric(d, prometheus.GaugeValue, v, labels...)
	}
	m.server.mu.RLock()
	defer m.server.mu.RUnlock()
	for id, st := range m.server.streams {
		stats := st.log.Stats()
		gauge(m.logBytes, float64(stats.Bytes), id.Namespace, id.Name)
		gauge(m.logEvents, float64(stats.Next-stats.First), id.Namespace, id.Name)
		ch <- prometheus.MustNewConstMetric(m.logDropped, prometheus.CounterValue, float64(stats.Dropped), id.Namespace, id.Name)
		st.mu.Lock()
		for name, d := range st.dispatchers {
			state := d.state()
			gauge(m.behind, float64(state.Behind), id.Namespace, id.Name, name)
			gauge(m.blocked, float64(state.Keys), id.Namespace, id.Name, name)
			gauge(m.waiting, float64(state.Waiting), id.Namespace, id.Name, name)
		}
		st.mu.Unlock()
	}
}

// brokerMetrics are the series of a broker.
type brokerMetrics struct {
	accepted, replies prometheus.Counter
	events            func(result string) prometheus.Counter
}

func (m *metrics) broker(id ID) *brokerMetrics {
	events := func(result string) prometheus.Counter {
		return m.received.WithLabelValues(id.Namespace, id.Name, result)
	}
	return &brokerMetrics{accepted: events("accepted"), replies: m.replies.WithLabelValues(id.Namespace, id.Name), events: events}
}

// forgetBroker removes the series of a broker and its triggers.
func (m *metrics) forgetBroker(id ID) {
	m.forget(prometheus.Labels{labelNamespace: id.Namespace, labelBroker: id.Name})
}

func (m *metrics) forgetTrigger(broker, id ID) {
	m.forget(prometheus.Labels{labelNamespace: id.Namespace, labelBroker: broker.Name, labelTrigger: id.Name})
}

func (m *metrics) forget(labels prometheus.Labels) {
	for _, v := range m.vecs() {
		v.(interface {
			DeletePartialMatch(prometheus.Labels) int
		}).DeletePartialMatch(labels)
	}
}

// triggerMetrics are the series of a trigger.
type triggerMetrics struct {
	retries, dropped, lost prometheus.Counter
	inFlight               prometheus.Gauge
	attempts, latency      prometheus.Observer
	delivered              prometheus.Counter
	deliveries             *prometheus.CounterVec
	deadLetters            *prometheus.CounterVec
	labels                 [3]string
}

func (m *metrics) trigger(broker, id ID) *triggerMetrics {
	l := [3]string{id.Namespace, broker.Name, id.Name}
	return &triggerMetrics{
		retries: m.retries.WithLabelValues(l[:]...), dropped: m.dropped.WithLabelValues(l[:]...), lost: m.lost.WithLabelValues(l[:]...),
		inFlight: m.inFlight.WithLabelValues(l[:]...), attempts: m.attempts.WithLabelValues(l[:]...), latency: m.latency.WithLabelValues(l[:]...),
		delivered: m.deliveries.WithLabelValues(l[0], l[1], l[2], string(resultOK)), deliveries: m.deliveries, deadLetters: m.deadLetters, labels: l,
	}
}

// attempt counts one.
func (t *triggerMetrics) attempt(f *failure, dead bool, took time.Duration) {
	t.attempts.Observe(took.Seconds())
	result := resultOK
	if f != nil {
		result = f.result
	}
	switch {
	case dead:
		t.deadLetters.WithLabelValues(t.labels[0], t.labels[1], t.labels[2], string(result)).Inc()
	case f == nil:
		t.delivered.Inc()
	default:
		t.deliveries.WithLabelValues(t.labels[0], t.labels[1], t.labels[2], string(result)).Inc()
	}
}
