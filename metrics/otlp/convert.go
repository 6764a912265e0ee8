package otlp

import (
	"math"
	"slices"
	"strconv"
	"strings"
	"time"

	dto "github.com/prometheus/client_model/go"
	commonpb "go.opentelemetry.io/proto/otlp/common/v1"
	metricspb "go.opentelemetry.io/proto/otlp/metrics/v1"
	resourcepb "go.opentelemetry.io/proto/otlp/resource/v1"
	"google.golang.org/protobuf/types/known/timestamppb"
)

// converter turns families as Prometheus has them into metrics as OpenTelemetry has them, by the rules of
// https://opentelemetry.io/docs/specs/otel/compatibility/prometheus_and_openmetrics/.
type converter struct{ begun, now uint64 }

// convert returns the metrics, and apart from them the labels of target_info.
func convert(families []*dto.MetricFamily, begun, now time.Time) (target []*dto.LabelPair, all []*metricspb.Metric) {
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

func (c converter) family(f *dto.MetricFamily) *metricspb.Metric {
	name, unit := metricName(f.GetName())
	m := &metricspb.Metric{Name: name, Unit: unit, Description: f.GetHelp()}
	switch f.GetType() {
	case dto.MetricType_COUNTER:
		m.Data = &metricspb.Metric_Sum{Sum: &metricspb.Sum{
			AggregationTemporality: metricspb.AggregationTemporality_AGGREGATION_TEMPORALITY_CUMULATIVE,
			IsMonotonic:            true,
			DataPoints: points(f, func(p *dto.Metric) *metricspb.NumberDataPoint {
				return c.number(p, p.GetCounter().GetValue(), c.start(p.GetCounter().GetCreatedTimestamp()))
			}),
		}}
	case dto.MetricType_GAUGE:
		m.Data = c.gauge(f, func(p *dto.Metric) float64 { return p.GetGauge().GetValue() })
	case dto.MetricType_UNTYPED:
		m.Data = c.gauge(f, func(p *dto.Metric) float64 { return p.GetUntyped().GetValue() })
	case dto.MetricType_HISTOGRAM:
		m.Data = &metricspb.Metric_Histogram{Histogram: &metricspb.Histogram{
			AggregationTemporality: metricspb.AggregationTemporality_AGGREGATION_TEMPORALITY_CUMULATIVE,
			DataPoints:             points(f, c.histogram),
		}}
	case dto.MetricType_SUMMARY:
		m.Data = &metricspb.Metric_Summary{Summary: &metricspb.Summary{DataPoints: points(f, c.summary)}}
	default:
		return nil // OpenMetrics' gauge histograms, which nothing here has
	}
	return m
}

func points[T any](f *dto.MetricFamily, point func(*dto.Metric) T) []T {
	all := make([]T, 0, len(f.GetMetric()))
	for _, m := range f.GetMetric() {
		all = append(all, point(m))
	}
	return all
}

func (c converter) gauge(f *dto.MetricFamily, value func(*dto.Metric) float64) *metricspb.Metric_Gauge {
	return &metricspb.Metric_Gauge{Gauge: &metricspb.Gauge{
		DataPoints: points(f, func(p *dto.Metric) *metricspb.NumberDataPoint { return c.number(p, value(p), 0) }),
	}}
}

func (c converter) number(p *dto.Metric, v float64, start uint64) *metricspb.NumberDataPoint {
	return &metricspb.NumberDataPoint{
		Attributes: attributes(p.GetLabel()), StartTimeUnixNano: start, TimeUnixNano: c.now,
		Value: &metricspb.NumberDataPoint_AsDouble{AsDouble: v},
	}
}

// histogram takes cumulative buckets apart: OpenTelemetry counts each for itself, and one more above the last bound.
func (c converter) histogram(p *dto.Metric) *metricspb.HistogramDataPoint {
	h := p.GetHistogram()
	sum := h.GetSampleSum()
	d := &metricspb.HistogramDataPoint{
		Attributes: attributes(p.GetLabel()), StartTimeUnixNano: c.start(h.GetCreatedTimestamp()), TimeUnixNano: c.now,
		Count: h.GetSampleCount(), Sum: &sum,
	}
	var below uint64
	for _, b := range h.GetBucket() {
		if math.IsInf(b.GetUpperBound(), 1) {
			continue
		}
		d.ExplicitBounds = append(d.ExplicitBounds, b.GetUpperBound())
		d.BucketCounts = append(d.BucketCounts, b.GetCumulativeCount()-below)
		below = b.GetCumulativeCount()
	}
	d.BucketCounts = append(d.BucketCounts, h.GetSampleCount()-below)
	return d
}

func (c converter) summary(p *dto.Metric) *metricspb.SummaryDataPoint {
	s := p.GetSummary()
	d := &metricspb.SummaryDataPoint{
		Attributes: attributes(p.GetLabel()), StartTimeUnixNano: c.start(s.GetCreatedTimestamp()), TimeUnixNano: c.now,
		Count: s.GetSampleCount(), Sum: s.GetSampleSum(),
	}
	for _, q := range s.GetQuantile() {
		d.QuantileValues = append(d.QuantileValues, &metricspb.SummaryDataPoint_ValueAtQuantile{
			Quantile: q.GetQuantile(), Value: q.GetValue(),
		})
	}
	return d
}

// start is when a count began.
func (c converter) start(created *timestamppb.Timestamp) uint64 {
	if created == nil {
		return c.begun
	}
	return nanos(created.AsTime())
}

func nanos(t time.Time) uint64 { return uint64(max(t.UnixNano(), 0)) }

// metricName undoes what Prometheus' naming rules do to OpenTelemetry's names. Dots can be told from underscores only in
// the names that are OpenTelemetry's in origin (contract, "Metric names"): those of HTTP's conventions and of Knative. Others
// stay what they are.
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

// attributes are labels; an empty one is none, as in Prometheus.
func attributes(labels []*dto.LabelPair) []*commonpb.KeyValue {
	all := make([]*commonpb.KeyValue, 0, len(labels))
	for _, l := range labels {
		if l.GetValue() == "" {
			continue
		}
		name := attributeName(l.GetName())
		if name == statusCode {
			if n, err := strconv.ParseInt(l.GetValue(), 10, 64); err == nil {
				all = append(all, integer(name, n))
				continue
			}
		}
		all = append(all, text(name, l.GetValue()))
	}
	return all
}

// resource is target_info, and what the configuration says, which wins: also over a label that is the same name with
// underscores.
func resource(target []*dto.LabelPair, configured map[string]string) *resourcepb.Resource {
	written := map[string]bool{}
	all := make([]*commonpb.KeyValue, 0, len(target)+len(configured))
	for name, value := range configured {
		written[underscored(name)] = true
		all = append(all, text(name, value))
	}
	for _, a := range attributes(target) {
		if !written[underscored(a.GetKey())] {
			all = append(all, a)
		}
	}
	slices.SortFunc(all, func(a, b *commonpb.KeyValue) int { return strings.Compare(a.GetKey(), b.GetKey()) })
	return &resourcepb.Resource{Attributes: all}
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

func scope() *commonpb.InstrumentationScope {
	return &commonpb.InstrumentationScope{Name: "github.com/sluice-proxy/sluice"}
}

func text(name, value string) *commonpb.KeyValue {
	return &commonpb.KeyValue{Key: name, Value: &commonpb.AnyValue{
		Value: &commonpb.AnyValue_StringValue{StringValue: strings.ToValidUTF8(value, "\uFFFD")},
	}}
}

func integer(name string, value int64) *commonpb.KeyValue {
	return &commonpb.KeyValue{Key: name, Value: &commonpb.AnyValue{Value: &commonpb.AnyValue_IntValue{IntValue: value}}}
}
