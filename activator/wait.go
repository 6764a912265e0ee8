package activator

import (
	"net/netip"
	"time"

	"github.com/sluice-proxy/sluice/internal/quota"
	"github.com/sluice-proxy/sluice/proxy"
	"github.com/sluice-proxy/sluice/throttler"
)

// acquire takes a slot, or a place in the queue for one, in which it waits, and the slot when that wait is over. A remote pod
// may decline the request, so that the last attempt is never a spillover.
func (x *exchange) acquire(req *proxy.Request, a proxy.Attempt) (waits bool, err error) {
	if x.place != nil {
		x.lease, err = x.seat(a.Ended)
	} else {
		x.busy, x.down = false, false
		x.demand.NoSpillover = a.Last
		var ok bool
		if x.lease, ok, err = x.a.throttler.TryAcquire(x.demand); err == nil && !ok {
			if x.lease, x.place, err = x.queue(req); x.place != nil {
				return true, nil
			}
		}
	}
	if err != nil {
		return false, x.unserved(x.refusal(err))
	}
	return false, nil
}

// queue stands in line. Time spent in it is seen in the gauges, and in the story of a cold start when there was no pod.
func (x *exchange) queue(req *proxy.Request) (throttler.Lease, *throttler.Place, error) {
	x.demand.Bytes, x.demand.Client = req.HeadBytes(), x.a.client(req)
	if x.t.usable.Load() == 0 {
		if x.cold.Queued.IsZero() {
			x.cold.Queued = req.Arrived
		}
		if tell := x.a.config.OnHold; tell != nil {
			tell(x.t.id)
		}
		x.short = true
		x.t.shortage.begin()
	}
	if m := x.spec.collectors; m != nil {
		m.AddQueued(1)
	}
	x.t.demand.begin()
	lease, place, err := x.a.throttler.Queue(x.demand, req.Suspend(x.spec.Timeouts))
	if place == nil {
		x.queued(lease, err)
	}
	return lease, place, err
}

// seat is the end of standing in line.
func (x *exchange) seat(ended error) (throttler.Lease, error) {
	lease, err := x.place.Leave(ended)
	x.place = nil
	x.queued(lease, err)
	return lease, err
}

func (x *exchange) queued(lease throttler.Lease, err error) {
	x.t.demand.end()
	if x.short {
		x.short, x.counted = false, x.t.shortage.end() || x.counted
	}
	if m := x.spec.collectors; m != nil {
		m.AddQueued(-1)
	}
	if err == nil && !x.cold.Queued.IsZero() {
		x.cold.Granted, x.cold.Pod = time.Now(), lease.ID()
	}
}

// client is for whom a request waits; the zero one: for any of many.
func (a *Activator) client(req *proxy.Request) netip.Addr {
	from, err := netip.ParseAddrPort(req.RemoteAddr)
	if err != nil {
		return netip.Addr{}
	}
	return quota.Client(from.Addr(), a.config.Proxies)
}
