// Package otlp pushes metrics and spans to an OpenTelemetry collector
// (https://opentelemetry.io/docs/specs/otlp/), over HTTP or gRPC.
//
//	prometheus.Gatherer ─► Metrics.Run ─► convert ─┐
//	                                               ├─► client ─► POST /v1/metrics, /v1/traces (protobuf)
//	spans ───────────────► Spans.Export ─► convert ┘            or a unary gRPC call, framed by hand over net/http
//
// Start with [Config], and [NewMetrics] or [NewSpans]. The families of a Prometheus Gatherer are pushed under
// OpenTelemetry's names, cumulative since the process began; the family target_info becomes the resource. A gRPC call
// with one message each way needs no more than HTTP/2, five bytes and two trailers, so gRPC's own module is not linked.
//
// [Metrics.Run] and [Spans.Export] work on their caller's goroutine and block on the network, until their context ends or
// they give up. No other goroutines are started but net/http's for a connection; Run, when it returns, and Close end idle
// connections. Several goroutines may use a Spans at once; a Metrics has one Run at a time. Nothing is logged.
package otlp
