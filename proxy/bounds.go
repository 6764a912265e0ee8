package proxy

import (
	"cmp"
	"net/http"

	"github.com/sluice-proxy/sluice/proxy/internal/h1"
)

// besideTarget is room for what else is in the first line of a request: method, version and spaces. The longest method
// that is registered has 17 bytes.
const besideTarget = 256

func (c ServerConfig) withLimits() ServerConfig {
	c.MaxTarget = cmp.Or(c.MaxTarget, DefaultMaxTarget)
	c.MaxHead = cmp.Or(c.MaxHead, DefaultMaxHead)
	c.MaxFields = cmp.Or(c.MaxFields, DefaultMaxFields)
	c.MaxConns = cmp.Or(c.MaxConns, DefaultMaxConns)
	c.MaxTLSConns = cmp.Or(c.MaxTLSConns, DefaultMaxTLSConns)
	c.MaxHTTP2Conns = cmp.Or(c.MaxHTTP2Conns, DefaultMaxHTTP2Conns)
	c.MaxHeld = cmp.Or(c.MaxHeld, DefaultMaxHeld)
	c.MaxStreams = cmp.Or(c.MaxStreams, DefaultMaxStreams)
	c.StreamWindow = cmp.Or(c.StreamWindow, DefaultStreamWindow)
	c.MaxUnfinishedHeads = max(cmp.Or(c.MaxUnfinishedHeads, DefaultMaxUnfinishedHeads), 4*int64(c.MaxHead))
	return c
}

// exceeded is err with the limit that it is about, and the name that the limit has as a setting.
func (c *ServerConfig) exceeded(err h1.Error) *Error {
	limit, what := c.MaxFields, "fields, the limit max-fields"
	switch err {
	case h1.ErrLineTooLong:
		limit, what = c.MaxTarget, "bytes of a target, the limit max-target"
	case h1.ErrHeadTooLarge:
		limit, what = c.MaxHead, "bytes, the limit max-head"
	}
	return Rejection(err).with(": more than %d %s", limit, what)
}

// bounded keeps from a handler of net/http's server what is beyond the limits that such a server doesn't have.
type bounded struct {
	h http.Handler
	c ServerConfig
}

func (b *bounded) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if err := b.check(r); err != nil {
		b.refuse(w, r, err)
		return
	}
	b.h.ServeHTTP(w, r)
}

func (b *bounded) check(r *http.Request) *Error {
	if b := handedOf(r); b != nil && !b.claimed.Load() {
		return nil // as the client sent it, it was within them
	}
	if len(r.RequestURI) > b.c.MaxTarget {
		return b.c.exceeded(h1.ErrLineTooLong)
	}
	if n := len(r.Header); n > 0 {
		for _, values := range r.Header {
			n += len(values) - 1
		}
		if n > b.c.MaxFields {
			return b.c.exceeded(h1.ErrFields)
		}
	}
	return nil
}

// refuse answers as the handler would have, if that is ours.
func (b *bounded) refuse(w http.ResponseWriter, r *http.Request, err *Error) {
	if h, ok := b.h.(*Handler); ok {
		h.answer(w, r, err)
	} else {
		if r.ProtoMajor < 2 {
			w.Header()["Connection"] = []string{"close"}
		}
		http.Error(w, err.Error(), err.Status)
	}
	if b.c.OnRejected != nil {
		b.c.OnRejected(r.RemoteAddr, err)
	}
}
