// Package tracing records requests as spans of distributed traces, as a policy around a policy, and exports them.
//
//	Begin ── traceparent or B3 in ── sampled? ──► span ──► End ──► queue ──► Run ──► OTLP, Zipkin or JSON lines
//	             ▼
//	         the same fields for the upstream, with the span as the parent
//
// A sampled request is one span, and one more for each wait for a slot or a pod of a millisecond or longer. Its attributes
// are those of OpenTelemetry's HTTP conventions, the reason (a word of proxy.Reason) and the number of attempts.
//
// # What reaches the upstream
//
// Of a sampled request: traceparent (https://www.w3.org/TR/trace-context/) with the new span, tracestate as it came, and
// the fields of B3 (https://github.com/openzipkin/b3-propagation) in the form in which they came, if they did. Of one that is not
// sampled: what came, and where that leaves the decision open, that it has been made; a traceparent that says so when there
// was none. While tracing is off no field is touched.
//
// # Concurrency
//
// Requests record on their own goroutine and put finished spans into a bounded queue, under a lock held for the copy; they never
// wait for an export. [Tracer.Run] exports on its caller's goroutine, in batches, and blocks on the network. When it
// can't keep up the queue fills, and spans are dropped and counted. Without a Run they are dropped at once. While tracing is
// off a request costs one atomic load, and Run waits.
package tracing
