package requestlog

import (
	"net/http"
	"strings"

	"github.com/sluice-proxy/sluice/proxy"
)

// DefaultTemplate is the built-in template, which is Knative's, so that its users' parsers work.
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

// Revision identifies the revision of a request, and the pod that served it.
type Revision struct{ Name, Namespace, Service, Configuration, PodName, PodIP string }

// Response describes the response that the client got.
type Response struct {
	Code    int     // 499: the client had gone before the response began
	Size    int     // bytes of the body
	Latency float64 // seconds from the arrival of the head to the end
}

// fields is the data of a template.
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

// traceID finds the trace ID in W3C's field (https://www.w3.org/TR/trace-context/#traceparent-header), else in those
// of B3 (https://github.com/openzipkin/b3-propagation). Templates, including the built-in one, don't escape it, so that an ID
// which is not hexadecimal is ignored.
func traceID(h http.Header) string {
	_, rest, _ := strings.Cut(first(h, "Traceparent"), "-")
	w3c, _, _ := strings.Cut(rest, "-")
	single, _, more := strings.Cut(first(h, "B3"), "-")
	if !more {
		single = "" // a sampling decision without a trace ID
	}
	for _, id := range []string{w3c, first(h, "X-B3-Traceid"), single} {
		if isTraceID(id) {
			return id
		}
	}
	return ""
}

// isTraceID reports whether id has 1 to 32 hexadecimal digits.
func isTraceID(id string) bool {
	return id != "" && len(id) <= 32 && strings.Trim(id, "0123456789abcdefABCDEF") == ""
}

func first(h http.Header, name string) string {
	if v := h[name]; len(v) > 0 {
		return v[0]
	}
	return ""
}
