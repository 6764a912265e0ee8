// Package observability reads the configuration of metrics, traces, the request log and profiling that operators of Knative
// make, in the two forms in which it reaches the data plane, and combines it with OpenTelemetry's environment.
//
//	OBSERVABILITY_CONFIG (JSON, queue-proxy) ─────► ParseJSON ─┐
//	config-observability (flat keys, activator) ──► ParseMap ──┼─► Config
//	TRACING_CONFIG_* (up to Knative 1.18) ──► ClassicTracing ──┘
//	OTEL_* ────────── overrides ──────────────────────▲
//
// Unknown keys are ignored. An error has one line for each value that can't be used, with its key, the value and the
// expectation. The Config that is returned with an error has all other settings, and a program can serve with it.
// OpenTelemetry demands that its variables be ignored if they can't be used
// (https://opentelemetry.io/docs/specs/otel/configuration/sdk-environment-variables/): those cause no error, but
// Config.Ignored names them for the log.
//
// # Concurrency
//
// The functions depend on their arguments only and don't block.
package observability
