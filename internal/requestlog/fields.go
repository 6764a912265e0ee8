package requestlog

import (
	"net/http"
	"strings"

	"github.com/sluice-proxy/sluice/proxy"
)

// DefaultTemplate is the built-in shape of a line, the one that Knative's users parse.
const DefaultTemplate = `{"httpRequest": {` +
	`"requestMethod": "{{.Request.Method}}", ` +
	`"requestUrl": "{{js .Request.RequestURI}}", ` +
	`"requestSize": "{{.Request.ContentLength}}", ` +
	`"status": {{.Response.Code}}, ` +
	`"responseSize": "{{.Response.Size}}", ` +
	`"userAgent": "{{js .Request.UserAgent}}", ` +
	`"remoteIp": "{{js .Request.RemoteAddr}}", ` +
	`"serverIp": "{{.Revision.PodIP}}", ` +
	`"referer": "{{js .Request.Referer}}", ` +
	`"latency": "{{.Response.Latency}}s", ` +
	`"protocol": "{{.Request.Proto}}"}, ` +
	`"traceId": "{{.TraceID}}"}`

// Revision is whose pod a request went to.
type Revision struct{ Name, Namespace, Service, Configuration, PodName, PodIP string }

// Response is what the client got.
type Response struct {
	Code    int     // 499: it had gone before it got one
	Size    int     // of the body, in bytes
	Latency float64 // from the arrival of the head to the end, in seconds
}

// fields is what a template sees.
type fields struct {
	Request  *http.Request
	Response Response
	Revision Revision
	TraceID  string
	Reason   string
}

func (f *fields) finish(r proxy.Result) {
	f.Response = Response{Code: r.Status, Size: int(r.BytesOut), Latency: r.Total.Seconds()}
	f.TraceID = traceID(f.Request.Header)
	f.Reason = r.Reason.String()
}

// traceID finds the trace's ID in W3C's field (https://www.w3.org/TR/trace-context/#traceparent-header), else in those
// of B3 (https://github.com/openzipkin/b3-propagation). Templates, the built-in one too, take it for hexadecimal: what a
// client makes anything else of is none.
func traceID(h http.Header) string {
	_, rest, _ := strings.Cut(first(h, "Traceparent"), "-")
	w3c, _, _ := strings.Cut(rest, "-")
	single, _, more := strings.Cut(first(h, "B3"), "-")
	if !more {
		single = "" // a decision without a trace
	}
	for _, id := range []string{w3c, first(h, "X-B3-Traceid"), single} {
		if isTraceID(id) {
			return id
		}
	}
	return ""
}

// isTraceID leaves room for no more than digits, 32 at most.
func isTraceID(id string) bool {
	return id != "" && len(id) <= 32 && strings.Trim(id, "0123456789abcdefABCDEF") == ""
}

func first(h http.Header, name string) string {
	if v := h[name]; len(v) > 0 {
		return v[0]
	}
	return ""
}
