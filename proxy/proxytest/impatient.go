package proxytest

import (
	"net/http"

	"github.com/sluice-proxy/sluice/proxy"
)

// Impatient is an embedder's policy around another one: it answers 418 by itself whatever within has an error for, the
// beginning of a wait too.
func Impatient(within proxy.Policy) proxy.Policy { return impatient{within} }

type impatient struct{ within proxy.Policy }

func (p impatient) Begin(req *proxy.Request) proxy.Exchange {
	return impatientExchange{p.within.Begin(req)}
}

type impatientExchange struct{ proxy.Exchange }

func (x impatientExchange) Next(req *proxy.Request, a proxy.Attempt) (proxy.Hop, error) {
	hop, err := x.Exchange.Next(req, a)
	if err != nil {
		return proxy.Hop{Local: &proxy.Local{Status: http.StatusTeapot}}, nil
	}
	return hop, nil
}

func (x impatientExchange) Release(h proxy.Hop, o proxy.Outcome) {
	if h.Local == nil {
		x.Exchange.Release(h, o)
	}
}
