package queueproxy

import (
	"context"
	"errors"
	"net/http"

	"github.com/sluice-proxy/sluice/internal/knative"
	"github.com/sluice-proxy/sluice/proxy"
	"github.com/sluice-proxy/sluice/throttler"
)

const queueFull = "pending request queue full\n"

func errQueueDeadline() error {
	return &proxy.Error{
		Reason: proxy.QueueTimeout, Text: "context deadline exceeded\n", Err: context.DeadlineExceeded,
	}
}

// refusal is the answer to a request that gets no slot because of err: of the breaker, or the cause of the wait's end.
// What came through an activator that finds the queue full may go to another pod.
func (e *exchange) refusal(req *proxy.Request, err error) (proxy.Hop, error) {
	if !errors.Is(err, throttler.ErrQueueFull) {
		return proxy.Hop{}, err
	}
	full := &proxy.Error{
		Reason: proxy.QueueFull, Status: e.policy.config.FullStatus, Text: queueFull,
		RetryAfter: e.policy.breaker.RetryAfter(), Err: err,
	}
	return e.elsewhere(req, full)
}

// misdirected is the answer to a request, or a probe, for another revision (RFC 9110 §15.5.20).
func misdirected() *proxy.Error {
	return &proxy.Error{
		Reason: proxy.UnknownRevision, Status: http.StatusMisdirectedRequest, Text: "this pod is of another revision\n",
	}
}

// busy refuses a request of another activator's share, for it to go elsewhere.
func (e *exchange) busy(req *proxy.Request) proxy.Hop {
	return notProcessed(req, &proxy.Error{Reason: proxy.Busy, Text: "busy\n", RetryAfter: e.policy.breaker.RetryAfter()})
}

// down is the answer when the app can't be reached. It has not got the request, which may go elsewhere when it came
// through an activator.
func (e *exchange) down(req *proxy.Request, cause error) (proxy.Hop, error) {
	var failed *proxy.Error
	if errors.As(cause, &failed) {
		return e.elsewhere(req, failed)
	}
	return proxy.Hop{}, cause
}

// elsewhere refuses a request that the app has not got: one that came through an activator may go to another pod.
func (e *exchange) elsewhere(req *proxy.Request, err *proxy.Error) (proxy.Hop, error) {
	if e.proxied {
		return notProcessed(req, err), nil
	}
	return proxy.Hop{}, err
}

// notProcessed tells an activator, as well as a client should the activator have no other pod, or not know the field.
func notProcessed(req *proxy.Request, err *proxy.Error) proxy.Hop {
	return proxy.Hop{Local: err.Local(req, name, [2]string{knative.HeaderNotProcessed, "1"})}
}
