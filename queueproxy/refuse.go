package queueproxy

import (
	"context"
	"errors"
	"net/http"
	"strconv"

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
func (e *exchange) refusal(req *proxy.Request, err error) (proxy.Decision, error) {
	if !errors.Is(err, throttler.ErrQueueFull) {
		return proxy.Decision{}, late(err, e.atLimit)
	}
	failed := &proxy.Error{
		Reason: proxy.QueueFull, Status: e.policy.config.FullStatus, Text: queueFull, Details: e.atLimit(),
		RetryAfter: e.policy.breaker.RetryAfter(), Err: err,
	}
	return e.elsewhere(req, failed)
}

// misdirected is the answer to a request, or a probe, for another revision (RFC 9110 §15.5.20).
func misdirected() *proxy.Error {
	return &proxy.Error{
		Reason: proxy.UnknownRevision, Status: http.StatusMisdirectedRequest, Text: "this pod is of another revision\n",
	}
}

// atLimit tells that the app has as many requests as it may have, and returns the sentence for the answer.
func (e *exchange) atLimit() string {
	why := "the pod has as many requests as it may have: its containerConcurrency is " + strconv.Itoa(e.policy.config.ContainerConcurrency)
	e.policy.readiness.ailment.tell(atLimit, why)
	return why
}

// late is the end of a wait by a timeout, with what was waited for.
func late(err error, why func() string) error {
	var timeout *proxy.Error
	if !errors.As(err, &timeout) || timeout.Reason == proxy.ClientGone {
		return err
	}
	return detailed(timeout, why())
}

// detailed is err with a sentence more.
func detailed(err *proxy.Error, sentence string) *proxy.Error {
	more := *err
	more.Details = sentence
	return &more
}

// busy refuses a request of another activator's share, for it to go elsewhere.
func (e *exchange) busy(req *proxy.Request) proxy.Decision {
	return notProcessed(req, &proxy.Error{Reason: proxy.Busy, Text: "busy\n", RetryAfter: e.policy.breaker.RetryAfter()})
}

// down is the answer when the app can't be reached. It has not got the request, which may go elsewhere when it came
// through an activator.
func (e *exchange) down(req *proxy.Request, cause error) (proxy.Decision, error) {
	var failed *proxy.Error
	if errors.As(cause, &failed) {
		return e.elsewhere(req, detailed(failed, e.policy.readiness.ailment.refuses(e.policy.config.UserAddr)))
	}
	return proxy.Decision{}, cause
}

// elsewhere refuses a request that the app has not got: one that came through an activator may go to another pod.
func (e *exchange) elsewhere(req *proxy.Request, err *proxy.Error) (proxy.Decision, error) {
	if e.proxied {
		return notProcessed(req, err), nil
	}
	return proxy.Decision{}, err
}

// notProcessed tells an activator, as well as a client should the activator have no other pod, or not know the field.
func notProcessed(req *proxy.Request, err *proxy.Error) proxy.Decision {
	return proxy.Answer(err.Local(req, name, [2]string{knative.HeaderNotProcessed, "1"}))
}
