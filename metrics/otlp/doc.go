// Package otlp pushes metrics and spans to an OpenTelemetry collector
// (https://opentelemetry.io/docs/specs/otlp/), over HTTP or gRPC.
//
//	prometheus.Gatherer ─► Metrics.Run ─► convert ─┐
//	                                               ├─► client ─► POST /v1/metrics, /v1/traces (protobuf)
//	spans ───────────────► Spans.Export ─► convert ┘            or a unary gRPC call, framed by hand over net/http
//
// What was measured for Prometheus is what is pushed: the families of a Gatherer, under OpenTelemetry's names, cumulative
// since the process began. The family target_info becomes the resource. Messages are written by field number. A gRPC call of one message each way needs no
// more than HTTP/2, five bytes and two trailers, so gRPC's own module is not linked.
//
// # Concurrency
//
// [Metrics.Run] and [Spans.Export] work on their caller's goroutine and block on the network, until their context ends or
// the attempts do. Nothing else runs, save net/http's goroutines for a connection, which Close, and Run at its end, close
// when it is idle. A Spans may be used by several goroutines at once; a Metrics has one Run at a time. Nothing here logs.
package otlp
