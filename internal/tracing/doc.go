// Package tracing records requests as spans of distributed traces, as a policy around a policy, and exports them.
//
//	Begin ── traceparent or B3 ── sampled? ──► span ──► End ──► queue ──► Run ──► OTLP, Zipkin or JSON lines
//	             ▼
//	         the same fields for the upstream, with the span as the parent
//
// A sampled request has one span, and one more for each wait of a millisecond or longer for a slot or a pod. Its attributes
// are those of OpenTelemetry's HTTP conventions, the reason (a proxy.Reason) and the number of attempts.
//
// # What reaches the upstream
//
// A sampled request has traceparent (https://www.w3.org/TR/trace-context/) with the new span, the client's tracestate, and
// the fields of B3 (https://github.com/openzipkin/b3-propagation) in the form in which the client sent them, if any. A request
// that is not sampled keeps the client's fields; if they leave the decision open, "not sampled" is added, and if there are
// none, a traceparent with that decision. While tracing is off no field is changed.
//
// # Concurrency
//
// Requests record spans on their own goroutine and put them into a bounded queue, under a lock that is held for the copy; they
// never wait for an export. [Tracer.Run] exports batches on its caller's goroutine, and blocks on the network. If it can't
// keep up the queue fills, and spans are dropped and counted. While no Run is active, spans are dropped at once. While tracing
// is off a request costs one atomic load, and Run waits.
package tracing
