package requestlog

import (
	"strconv"

	"github.com/sluice-proxy/sluice/internal/template"
)

// appendBuiltin makes of f what DefaultTemplate makes of it, at a quarter of the cost. It is the template that Knative hands out
// unless an operator chose another one. What the template doesn't escape can hold nothing that would need it; it is escaped
// here all the same, so that the line is JSON whatever lets a request in.
func appendBuiltin(b []byte, f *fields) []byte {
	r := f.Request
	b = append(b, `{"httpRequest": {"requestMethod": "`...)
	b = append(b, template.EscapeJS(r.Method)...)
	b = append(b, `", "requestUrl": "`...)
	b = append(b, template.EscapeJS(r.RequestURI)...)
	b = append(b, `", "requestSize": "`...)
	b = strconv.AppendInt(b, r.ContentLength, 10)
	b = append(b, `", "status": `...)
	b = strconv.AppendInt(b, int64(f.Response.Code), 10)
	b = append(b, `, "responseSize": "`...)
	b = strconv.AppendInt(b, int64(f.Response.Size), 10)
	b = append(b, `", "userAgent": "`...)
	b = append(b, template.EscapeJS(r.UserAgent())...)
	b = append(b, `", "remoteIp": "`...)
	b = append(b, template.EscapeJS(r.RemoteAddr)...)
	b = append(b, `", "serverIp": "`...)
	b = append(b, template.EscapeJS(f.Revision.PodIP)...)
	b = append(b, `", "referer": "`...)
	b = append(b, template.EscapeJS(r.Referer())...)
	b = append(b, `", "latency": "`...)
	b = strconv.AppendFloat(b, f.Response.Latency, 'g', -1, 64)
	b = append(b, `s", "protocol": "`...)
	b = append(b, template.EscapeJS(r.Proto)...)
	b = append(b, `"}, "traceId": "`...)
	b = append(b, template.EscapeJS(f.TraceID)...)
	return append(b, `"}`...)
}
