package observability

import "strings"

// FromEnvironment reads OpenTelemetry's variables for a program that Knative does not configure. Traces are exported if
// OTEL_EXPORTER_OTLP_ENDPOINT or OTEL_EXPORTER_OTLP_TRACES_ENDPOINT says where to, or with OTEL_TRACES_EXPORTER=otlp; their defaults are
// OpenTelemetry's.
func FromEnvironment(lookup func(string) (string, bool)) Config {
	r := newReader(lookup)
	c, _ := r.result(Config{Tracing: r.traces()}) // only the keys of Knative cause errors
	return c
}

// traces reads https://opentelemetry.io/docs/specs/otel/configuration/sdk-environment-variables/ and
// https://opentelemetry.io/docs/specs/otel/protocol/exporter/.
func (r *reader) traces() Exporter {
	disabled, _ := r.env("OTEL_SDK_DISABLED")
	exporter, _ := r.env("OTEL_TRACES_EXPORTER")
	_, endpoint, _ := r.ofSignal(tracesSignal, "ENDPOINT")
	switch {
	case strings.EqualFold(disabled, "true"), exporter == "none", exporter == "" && endpoint == "":
		return Exporter{}
	case exporter != "" && exporter != "otlp":
		r.ignore("OTEL_TRACES_EXPORTER", "otlp or none")
		return Exporter{}
	}
	key, protocol, _ := r.ofSignal(tracesSignal, "PROTOCOL")
	if protocol != HTTP && protocol != GRPC {
		if protocol != "" {
			r.ignore(key, HTTP+" or "+GRPC)
		}
		protocol = HTTP
	}
	w := rawExporter{protocol: protocol, endpoint: "http://localhost:4318", rate: 1}
	if protocol == GRPC {
		w.endpoint = "http://localhost:4317"
	}
	e := r.read(tracesSignal, w)
	if _, replaced := r.env("OTEL_TRACES_SAMPLER"); !replaced {
		e.ParentBased = true // parentbased_always_on
	}
	return e
}
