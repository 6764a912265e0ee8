package standalone

import (
	"cmp"
	"encoding/json"
	"os"
	"strconv"
	"strings"

	"go.uber.org/zap"

	"github.com/sluice-proxy/sluice/broker"
	"github.com/sluice-proxy/sluice/internal/knative"
	"github.com/sluice-proxy/sluice/internal/observability"
	"github.com/sluice-proxy/sluice/internal/program"
	"github.com/sluice-proxy/sluice/internal/tracing"
	"github.com/sluice-proxy/sluice/metrics/otlp"
)

// newTracer returns the tracer of a program, which is off unless c has it export spans.
func newTracer(c observability.Config, name string, log *zap.Logger) (*tracing.Tracer, error) {
	resource := map[string]string{"service.version": program.Version()}
	for key, value := range c.Resource {
		resource[key] = value
	}
	resource["service.name"] = cmp.Or(c.ServiceName, resource["service.name"], name)
	t, err := tracing.New(tracing.Config{
		Span: "handle", Wait: "throttler_try", // the activator's
		Resource: resource, FlushTimeout: endGrace,
		Failed: func(err error) {
			if err != nil {
				log.Warn("the export of traces fails", zap.Error(err))
			}
		},
	})
	if err != nil {
		return nil, err
	}
	for _, line := range c.Ignored {
		log.Warn(line)
	}
	return t, t.Set(c.Tracing)
}

// eventTracer makes the spans of brokers.
type eventTracer struct{ *tracing.Tracer }

// Receive implements broker.Tracer.
func (t eventTracer) Receive(name string, parent broker.TraceContext) (broker.TraceContext, broker.Span) {
	return t.start(name, otlp.Server, parent)
}

// Send implements broker.Tracer.
func (t eventTracer) Send(name string, parent broker.TraceContext) (broker.TraceContext, broker.Span) {
	return t.start(name, otlp.Client, parent)
}

func (t eventTracer) start(name string, kind otlp.Kind, parent broker.TraceContext) (broker.TraceContext, broker.Span) {
	next, state, span := t.Start(name, kind, parent.Parent, parent.State)
	if span == nil {
		return broker.TraceContext{Parent: next, State: state}, nil
	}
	return broker.TraceContext{Parent: next, State: state}, eventSpan{span}
}

type eventSpan struct{ *tracing.Span }

// End implements broker.Span.
func (s eventSpan) End(failed string, attributes []broker.Attribute) {
	all := make([]otlp.Attribute, len(attributes))
	for i, a := range attributes {
		all[i] = otlp.Attribute(a)
	}
	s.Span.End(failed, all...)
}

// tracesEnv returns the variables with which a queue-proxy exports spans as e says: those of Knative's contract, and of OpenTelemetry's those that
// this process has, since they have the collector's certificates.
func tracesEnv(e observability.Exporter) (env []string) {
	if !e.OTLP() {
		return nil
	}
	for _, v := range os.Environ() {
		if strings.HasPrefix(v, "OTEL_EXPORTER_OTLP_") {
			env = append(env, v)
		}
	}
	text, err := json.Marshal(map[string]any{"tracing": map[string]string{"protocol": e.Protocol, "endpoint": e.Endpoint}})
	if err != nil {
		panic(err) // strings
	}
	sampler := "traceidratio"
	if e.ParentBased {
		sampler = "parentbased_traceidratio"
	}
	return append(env, knative.EnvObservabilityConfig+"="+string(text), "OTEL_TRACES_SAMPLER="+sampler,
		"OTEL_TRACES_SAMPLER_ARG="+strconv.FormatFloat(e.SamplingRate, 'g', -1, 64))
}
