package proxy

import (
	"cmp"
	"errors"
	"fmt"
	"net/http"

	"github.com/sluice-proxy/sluice/proxy/internal/h1"
)

// Rejection says why a connection, or a request of HTTP/2, was rejected before a policy was asked. The list is closed: its
// names stand in metrics, and docs/operations.md has them all. The zero value is none of the list.
type Rejection uint8

// The rejections are those of the parser, as far as they are of requests' heads, and these.
const (
	tooManyOptions Rejection = iota + 1 + Rejection(h1.ErrExpect)
	connectMethod
	headTimeout
	headGivenUp
	noRoom
	noSpace
	rejections // their number, and one
)

var rulesBesides = [rejections]h1.Rule{
	tooManyOptions: {Name: "too many options in Connection", Status: http.StatusBadRequest},
	connectMethod:  {Name: "CONNECT is not supported", Status: http.StatusNotImplemented},
	headTimeout:    {Name: "no head", Status: http.StatusRequestTimeout},
	headGivenUp:    {Name: "unfinished head given up for newer ones", Section: "RFC 9110 §15.5.9", Status: http.StatusRequestTimeout},
	noRoom:         {Name: "no room for a connection", Section: "RFC 9110 §15.6.4", Status: http.StatusServiceUnavailable},
	noSpace:        {Name: "no room for a request", Section: "RFC 9110 §15.6.4", Status: http.StatusServiceUnavailable},
}

// Rejections returns all of them.
func Rejections() []Rejection {
	all := make([]Rejection, 0, rejections-1)
	for r := Rejection(1); r < rejections; r++ {
		all = append(all, r)
	}
	return all
}

// RejectionOf finds the Rejection in the chain of an error that ServerConfig.OnRejected got.
func RejectionOf(err error) Rejection {
	if r, ok := errors.AsType[Rejection](err); ok {
		return r
	}
	if e, ok := errors.AsType[h1.Error](err); ok && e <= h1.ErrExpect {
		return Rejection(e)
	}
	return 0
}

func (r Rejection) rule() h1.Rule {
	if e := h1.Error(r); e <= h1.ErrExpect {
		return e.Rule()
	}
	return rulesBesides[r]
}

// String is the name of r in metrics; "other" for the zero value.
func (r Rejection) String() string { return cmp.Or(r.rule().Name, "other") }

// Status is the HTTP status of the answer, if there is one.
func (r Rejection) Status() int { return r.rule().Status }

// Error is the name with the section of the RFC.
func (r Rejection) Error() string { return r.rule().String() }

// with is the error of a request or a connection that is rejected, with more to say of it.
func (r Rejection) with(format string, args ...any) *Error {
	return &Error{Reason: BadRequest, Status: r.Status(), Err: fmt.Errorf("%w"+format, append([]any{r}, args...)...)}
}
