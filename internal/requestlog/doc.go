// Package requestlog writes a line for each request by the operator's Go template, as a policy around a policy.
//
//	Begin ── the head as the client sent it, the revision ──► End ── + the result ──► template ──► buffer ──► Out
//
// A template has the data of Knative's templates (contract, "Request log template"), and the reason of a failure:
//
//	.Request   *http.Request, with an empty body and without hop-by-hop fields
//	.Response  .Code (499: the client had gone), .Size of the body in bytes, .Latency in seconds, including waits
//	.Revision  .Name .Namespace .Service .Configuration .PodName .PodIP
//	.TraceID   from the fields traceparent, X-B3-TraceId or b3; "" without one
//	.Reason    why the app did not answer the request, as a proxy.Reason; "" if it did
//
// Templates have the syntax of text/template and all its functions except call. They may call methods that read a request
// and change nothing: .Request.UserAgent, .Request.Header.Get "X-Name", .Request.URL.Query.Get "name" and the like. Set
// rejects a template that calls another method.
//
// The output for a request is always one line: line breaks in it become spaces, and a blank line is not written.
//
// # Concurrency
//
// A Log is safe for concurrent use. Requests execute the template on their own goroutine and append the line to a bounded
// buffer, under a lock that is held for the copy; they never wait for Out. One goroutine writes to Out, with one Write for each
// line. It starts with the first line and ends with Close, which waits for it. If Out is slower than the requests the buffer
// fills, and further lines are dropped and counted. While the log is off a request costs one atomic load.
package requestlog
