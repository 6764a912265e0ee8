package otlp

import (
	"maps"
	"math"
	"slices"
	"strconv"
	"strings"
	"time"

	dto "github.com/prometheus/client_model/go"
	"google.golang.org/protobuf/encoding/protowire"
	"google.golang.org/protobuf/types/known/timestamppb"
)

// converter turns families as Prometheus has them into metrics as OpenTelemetry has them, by the rules of
// https://opentelemetry.io/docs/specs/otel/compatibility/prometheus_and_openmetrics/.
type converter struct{ begun, now uint64 }

// convert returns the metrics, each a Metric, and apart from them the labels of target_info.
func convert(families []*dto.MetricFamily, begun, now time.Time) (target []*dto.LabelPair, all []message) {
	c := converter{nanos(begun), nanos(now)}
	for _, f := range families {
		if f.GetName() == "target_info" {
			for _, m := range f.GetMetric() {
				target = m.GetLabel()
			}
			continue
		}
		if m := c.family(f); m != nil {
			all = append(all, m)
		}
	}
	return target, all
}

// cumulative is an AggregationTemporality.
const cumulative = 2

func (c converter) family(f *dto.MetricFamily) message {
	name, unit := metricName(f.GetName())
	m := message(nil).text(1, name).text(2, f.GetHelp()).text(3, unit)
	switch f.GetType() {
	case dto.MetricType_GAUGE:
		return m.bytes(5, points(f, func(p *dto.Metric) message { return c.number(p, p.GetGauge().GetValue(), 0) }))
	case dto.MetricType_UNTYPED:
		return m.bytes(5, points(f, func(p *dto.Metric) message { return c.number(p, p.GetUntyped().GetValue(), 0) }))
	case dto.MetricType_COUNTER:
		sum := points(f, func(p *dto.Metric) message {
			return c.number(p, p.GetCounter().GetValue(), c.start(p.GetCounter().GetCreatedTimestamp()))
		})
		return m.bytes(7, sum.varint(2, cumulative).varint(3, 1)) // monotonic
	case dto.MetricType_HISTOGRAM:
		return m.bytes(9, points(f, c.histogram).varint(2, cumulative))
	case dto.MetricType_SUMMARY:
		return m.bytes(11, points(f, c.summary))
	}
	return nil // OpenMetrics' gauge histograms, which nothing here has
}

// points are those of a Gauge, a Sum, a Histogram or a Summary.
func points(f *dto.MetricFamily, point func(*dto.Metric) message) (all message) {
	for _, m := range f.GetMetric() {
		all = all.bytes(1, point(m))
	}
	return all
}

// number makes a NumberDataPoint.
func (c converter) number(p *dto.Metric, v float64, start uint64) message {
	return labelled(message(nil).fixed(2, start).fixed(3, c.now).double(4, v), 7, p.GetLabel())
}

// histogram makes each bucket's own count of the cumulative ones, as OpenTelemetry has them, and adds one above the last bound.
func (c converter) histogram(p *dto.Metric) message {
	h := p.GetHistogram()
	var counts, bounds []uint64
	var below uint64
	for _, b := range h.GetBucket() {
		if math.IsInf(b.GetUpperBound(), 1) {
			continue
		}
		bounds = append(bounds, math.Float64bits(b.GetUpperBound()))
		counts = append(counts, b.GetCumulativeCount()-below)
		below = b.GetCumulativeCount()
	}
	counts = append(counts, h.GetSampleCount()-below)
	m := message(nil).fixed(2, c.start(h.GetCreatedTimestamp())).fixed(3, c.now).fixed(4, h.GetSampleCount()).
		double(5, h.GetSampleSum()).packed(6, counts).packed(7, bounds)
	return labelled(m, 9, p.GetLabel())
}

func (c converter) summary(p *dto.Metric) message {
	s := p.GetSummary()
	m := message(nil).fixed(2, c.start(s.GetCreatedTimestamp())).fixed(3, c.now).fixed(4, s.GetSampleCount()).double(5, s.GetSampleSum())
	for _, q := range s.GetQuantile() {
		m = m.bytes(6, message(nil).double(1, q.GetQuantile()).double(2, q.GetValue()))
	}
	return labelled(m, 7, p.GetLabel())
}

// start is when a count began.
func (c converter) start(created *timestamppb.Timestamp) uint64 {
	if created == nil {
		return c.begun
	}
	return nanos(created.AsTime())
}

func nanos(t time.Time) uint64 { return uint64(max(t.UnixNano(), 0)) }

// metricName undoes what Prometheus' naming rules do to OpenTelemetry's names. Only in names that come from OpenTelemetry
// (contract, "Metric names"), those of its HTTP conventions and of Knative, does each underscore stand for a dot. Others are
// left unchanged.
func metricName(prom string) (name, unit string) {
	if !strings.HasPrefix(prom, "kn_") && !strings.HasPrefix(prom, "http_server_") {
		return prom, ""
	}
	name = strings.TrimSuffix(prom, "_total")
	if base, ok := strings.CutSuffix(name, "_seconds"); ok {
		name, unit = base, "s"
	}
	return strings.ReplaceAll(name, "_", "."), unit
}

const statusCode = "http.response.status_code"

func attributeName(label string) string {
	switch {
	case label == "http_response_status_code":
		return statusCode
	case strings.HasPrefix(label, "kn_"), strings.HasPrefix(label, "k8s_"):
		return strings.ReplaceAll(label, "_", ".")
	}
	return label
}

// labelled writes labels as attributes; an empty label means that there is none, as in Prometheus.
func labelled(m message, field protowire.Number, labels []*dto.LabelPair) message {
	for _, l := range labels {
		if l.GetValue() == "" {
			continue
		}
		name := attributeName(l.GetName())
		code, err := strconv.ParseInt(l.GetValue(), 10, 64)
		m = m.attribute(field, name, l.GetValue(), code, name == statusCode && err == nil)
	}
	return m
}

// resource makes the attributes of target_info and of the configuration, which wins, also over a label that has the same
// name with underscores.
func resource(target []*dto.LabelPair, configured map[string]string) (m message) {
	all, written := maps.Clone(configured), map[string]bool{}
	if all == nil {
		all = map[string]string{}
	}
	for name := range configured {
		written[underscored(name)] = true
	}
	for _, l := range target {
		if l.GetValue() != "" && !written[underscored(l.GetName())] {
			all[attributeName(l.GetName())] = l.GetValue()
		}
	}
	for _, name := range slices.Sorted(maps.Keys(all)) {
		m = m.attribute(1, name, all[name], 0, false)
	}
	return m
}

// underscored is a name as Prometheus has it.
func underscored(name string) string {
	return strings.Map(func(r rune) rune {
		if r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' {
			return r
		}
		return '_'
	}, name)
}
