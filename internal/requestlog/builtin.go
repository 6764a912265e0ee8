package requestlog

import (
	"strconv"

	"github.com/sluice-proxy/sluice/internal/template"
)

// appendBuiltin makes of f what DefaultTemplate makes of it, at a quarter of the cost. It is the template that Knative hands out
// unless an operator chose another one.
func appendBuiltin(b []byte, f *fields) []byte {
	r := f.Request
	b = append(b, `{"httpRequest": {"requestMethod": "`...)
	b = append(b, r.Method...)
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
	b = append(b, f.Revision.PodIP...)
	b = append(b, `", "referer": "`...)
	b = append(b, template.EscapeJS(r.Referer())...)
	b = append(b, `", "latency": "`...)
	b = strconv.AppendFloat(b, f.Response.Latency, 'g', -1, 64)
	b = append(b, `s", "protocol": "`...)
	b = append(b, r.Proto...)
	b = append(b, `"}, "traceId": "`...)
	b = append(b, f.TraceID...)
	return append(b, `"}`...)
}
