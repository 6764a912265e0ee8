package proxytest

import (
	"net/http"

	"github.com/sluice-proxy/sluice/proxy"
)

// Impatient is an embedder's policy around another one. It answers 418 to a request for which the inner policy returns an
// error or a wait, to one for /before without asking the inner policy, and to one for /after once that has chosen an upstream.
func Impatient(within proxy.Policy) proxy.Policy { return impatient{within} }

type impatient struct{ within proxy.Policy }

func (p impatient) Begin(req *proxy.Request) proxy.Exchange {
	return impatientExchange{p.within.Begin(req)}
}

type impatientExchange struct{ proxy.Exchange }

func (x impatientExchange) Next(req *proxy.Request, a proxy.Attempt) (proxy.Decision, error) {
	if req.Target == "/before" {
		return teapot, nil
	}
	d, err := x.Exchange.Next(req, a)
	if err != nil || d.Wait || req.Target == "/after" {
		return teapot, nil
	}
	return d, nil
}

var teapot = proxy.Answer(&proxy.Local{Status: http.StatusTeapot})
