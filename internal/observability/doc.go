// Package observability reads what Knative's operators have configured about metrics, traces, the request log and
// profiling, in the two forms in which it reaches the data plane, and resolves it with OpenTelemetry's environment.
//
//	OBSERVABILITY_CONFIG (JSON, queue-proxy) ─────► ParseJSON ─┐
//	config-observability (flat keys, activator) ──► ParseMap ──┼─► Config
//	TRACING_CONFIG_* (up to Knative 1.18) ──► ClassicTracing ──┘
//	OTEL_* ────────── overrides ──────────────────────▲
//
// Unknown keys are ignored. An error has one line for each value that can't be used: its key, the value, what was
// expected. It is no reason not to serve: the Config beside it has all else. OpenTelemetry demands that its variables be ignored when they can't be used
// (https://opentelemetry.io/docs/specs/otel/configuration/sdk-environment-variables/), so those are no errors:
// Config.Ignored names them, for the log.
//
// # Concurrency
//
// The package has functions of their arguments only. Nothing blocks.
package observability
