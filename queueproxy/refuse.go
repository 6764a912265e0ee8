package queueproxy

import (
	"context"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/sluice-proxy/sluice/internal/knative"
	"github.com/sluice-proxy/sluice/proxy"
)

const queueFull = "pending request queue full\n"

// elsewhere reports whether a request that finds the queue full may go to another pod: its activator is told so. A gRPC
// call is not: were there no other pod, its client would get an answer that isn't gRPC.
func (e *exchange) elsewhere(req *proxy.Request, err error) bool {
	return e.proxied && proxy.ReasonOf(err) == proxy.QueueFull &&
		!strings.HasPrefix(req.Header.Get("Content-Type"), "application/grpc")
}

func errQueueDeadline() error {
	return &proxy.Error{
		Reason: proxy.QueueTimeout, Text: "context deadline exceeded\n", Err: context.DeadlineExceeded,
	}
}

// busy refuses a request of another activator's share, for it to go elsewhere.
func busy(retryAfter time.Duration) proxy.Hop {
	return notProcessed(http.StatusServiceUnavailable, proxy.Busy, "busy\n", retryIn(retryAfter))
}

// overfull refuses a request of an activator when no more may wait, for it to go elsewhere.
func overfull(status int, retryAfter time.Duration) proxy.Hop {
	return notProcessed(status, proxy.QueueFull, queueFull, retryIn(retryAfter))
}

// down is the answer to an activator when the app can't be reached: it has not got the request, which may go elsewhere.
// An activator that doesn't know that passes it on as the 502 that it is.
func down(cause error) proxy.Hop {
	return notProcessed(http.StatusBadGateway, proxy.ReasonOf(cause), cause.Error()+"\n")
}

func notProcessed(status int, reason proxy.Reason, body string, header ...[2]string) proxy.Hop {
	return local(status, body, append(header,
		[2]string{knative.HeaderNotProcessed, "1"},
		[2]string{"Proxy-Status", name + "; error=" + reason.ProxyStatus() + `; details="` + reason.String() + `"`})...)
}

func retryIn(d time.Duration) [2]string {
	return [2]string{"Retry-After", strconv.Itoa(max(1, int((d+time.Second-1)/time.Second)))}
}
