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

// refusal is the answer to a request that gets no slot because of err, which is the breaker's or what ended the wait. If
// the queue is full, an activator may send the request to another pod.
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

// misdirected is the answer to a request or a probe for another revision (RFC 9110 §15.5.20).
func misdirected() *proxy.Error {
	return &proxy.Error{
		Reason: proxy.UnknownRevision, Status: http.StatusMisdirectedRequest, Text: "this pod is of another revision\n",
	}
}

// atLimit reports that the app has as many requests as it may have, and returns the sentence for the answer.
func (e *exchange) atLimit() string {
	why := "the pod has as many requests as it may have: its containerConcurrency is " + strconv.Itoa(e.policy.config.ContainerConcurrency)
	e.policy.readiness.diagnosis.report(atLimit, why)
	return why
}

// late adds to the error of a timeout what the request waited for.
func late(err error, why func() string) error {
	var timeout *proxy.Error
	if !errors.As(err, &timeout) || timeout.Reason == proxy.ClientGone {
		return err
	}
	return detailed(timeout, why())
}

// detailed returns a copy of err with these details.
func detailed(err *proxy.Error, sentence string) *proxy.Error {
	more := *err
	more.Details = sentence
	return &more
}

// busy refuses a spilled-over request, which its activator then sends to another pod.
func (e *exchange) busy(req *proxy.Request) proxy.Decision {
	return notProcessed(req, &proxy.Error{Reason: proxy.Busy, Text: "busy\n", RetryAfter: e.policy.breaker.RetryAfter()})
}

// explain has Next return what answer does. That may block: what is wrong with the app is found out by connections to it.
func (e *exchange) explain(req *proxy.Request, answer func() (proxy.Decision, error)) proxy.Decision {
	return req.Await(proxy.Timeouts{}, func(context.Context) {
		d, err := answer()
		e.explained = &outcome{d, err}
	})
}

func (e *exchange) notListening() string {
	return e.policy.readiness.diagnosis.notListening(e.policy.config.UserAddr)
}

// down is the answer when the app can't be reached. The app has not received the request, so an activator may send it to
// another pod.
func (e *exchange) down(req *proxy.Request, cause error) (proxy.Decision, error) {
	var failed *proxy.Error
	if errors.As(cause, &failed) {
		return e.elsewhere(req, detailed(failed, e.notListening()))
	}
	return proxy.Decision{}, cause
}

// elsewhere refuses a request that the app has not received: an activator may send it to another pod.
func (e *exchange) elsewhere(req *proxy.Request, err *proxy.Error) (proxy.Decision, error) {
	if e.proxied {
		return notProcessed(req, err), nil
	}
	return proxy.Decision{}, err
}

// notProcessed marks an error answer for an activator. It is complete for a client, too: the activator may have no other
// pod, or ignore the mark.
func notProcessed(req *proxy.Request, err *proxy.Error) proxy.Decision {
	return proxy.Answer(err.Local(req, name, [2]string{knative.HeaderNotProcessed, "1"}))
}
