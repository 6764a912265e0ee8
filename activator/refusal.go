package activator

import (
	"errors"
	"fmt"

	"github.com/sluice-proxy/sluice/proxy"
	"github.com/sluice-proxy/sluice/throttler"
)

// refusal is the answer to a request that got no slot.
func (x *exchange) refusal(err error) error {
	switch {
	case errors.Is(err, throttler.ErrUnknownRevision), errors.Is(err, throttler.ErrRevisionGone):
		return notFound(fmt.Errorf("revision %q: %w", x.t.id, err))
	case errors.Is(err, throttler.ErrQueueFull):
		return &proxy.Error{
			Reason: proxy.QueueFull, Text: "pending request queue full\n", Err: err,
			RetryAfter: x.a.throttler.RetryAfter(x.t.id),
		}
	}
	return err // the cause that Park gave its context
}

// lookup is how answers about a revision that can't be found begin.
const lookup = "Error getting active endpoint: "

func unknown(namespace, name string) error {
	return notFound(fmt.Errorf("revision %q: %w", namespace+"/"+name, throttler.ErrUnknownRevision))
}

func notFound(err error) error {
	return &proxy.Error{Reason: proxy.UnknownRevision, Text: lookup + err.Error() + "\n", Err: err}
}
