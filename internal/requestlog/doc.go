// Package requestlog writes one line per request, shaped by a Go template that the operator chose, as a policy around a
// policy.
//
//	Begin ── the head as the client sent it, the revision ──► End ── + what became of it ──► template ──► buffer ──► Out
//
// A template sees what Knative's sees (contract, "Request log template"), and the reason of a failure besides:
//
//	.Request   *http.Request, its body empty, hop-by-hop fields removed
//	.Response  .Code (499: the client had gone), .Size of the body in bytes, .Latency in seconds, waiting included
//	.Revision  .Name .Namespace .Service .Configuration .PodName .PodIP
//	.TraceID   of the fields traceparent, X-B3-TraceId or b3; "" without one
//	.Reason    why it was not answered by its app, a word of proxy.Reason; "" when it was
//
// Templates are text/template's, with its functions but call. Methods may be called that tell of a request and change
// nothing: .Request.UserAgent, .Request.Header.Get "X-Name", .Request.URL.Query.Get "name" and the like. One that asks for
// another method is refused when it is set.
//
// What a template makes is one line, whatever a request holds: line breaks in it become spaces, and nothing but blanks is
// not written.
//
// # Concurrency
//
// A Log is used by any number of goroutines. Requests run the template on their own goroutine and append the line to a
// bounded buffer, under a lock held for the copy; they never wait for Out. One goroutine writes to Out, one Write per line.
// It starts with the first line and ends with Close, which waits for it. When Out is slower than the requests the buffer
// fills, and lines are dropped and counted. While the log is off nothing is started and a request costs one atomic load.
package requestlog
