package requestlog

import (
	"sync"

	"github.com/sluice-proxy/sluice/proxy"
)

type policy struct {
	proxy.Policy
	log       *Log
	exchanges sync.Pool
}

// exchange is a request that will be logged. It is pooled: End returns it to the pool.
type exchange struct {
	proxy.Exchange
	policy  *policy
	setting *setting // as of Begin
	fields  fields
}

// Begin copies the head before the inner policy edits it.
func (p *policy) Begin(req *proxy.Request) proxy.Exchange {
	s := p.log.setting.Load()
	if s == nil || !s.probes && p.log.config.Probe(req) {
		return p.Policy.Begin(req)
	}
	x := p.exchanges.Get().(*exchange)
	x.setting = s
	x.fields.Request = req.HTTP()
	x.fields.Revision = p.log.config.Revision(req)
	x.Exchange = p.Policy.Begin(req)
	return x
}

// End writes the line after the inner policy's End.
func (x *exchange) End(req *proxy.Request, r proxy.Result) {
	x.Exchange.End(req, r)
	x.fields.finish(r)
	x.policy.log.write(x.setting, &x.fields)
	p := x.policy
	*x = exchange{policy: p}
	p.exchanges.Put(x)
}
