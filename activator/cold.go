package activator

import (
	"fmt"
	"time"

	"github.com/sluice-proxy/sluice/proxy"
	"github.com/sluice-proxy/sluice/throttler"
)

// ColdStart is the story of a request that came while its revision had no pod to use.
type ColdStart struct {
	Revision  throttler.RevisionID
	Pod       string    // ID of the pod that answered it; clusterIP when it went that way
	Queued    time.Time // the request arrived
	Granted   time.Time // a pod had passed its probe and it was this request's turn
	FirstByte time.Time // the head of the answer came
}

// warm ends a cold start. A client that asks for it is told the parts (https://www.w3.org/TR/server-timing/).
func (x *exchange) warm(resp *proxy.Response) {
	c := x.cold
	x.cold = ColdStart{}
	c.Revision, c.FirstByte = x.t.id, time.Now()
	x.a.collectors.coldStart(c)
	if x.traced {
		resp.Header.Add("Server-Timing", fmt.Sprintf("sluice-wait;dur=%.1f, sluice-first-byte;dur=%.1f",
			milliseconds(c.Granted.Sub(c.Queued)), milliseconds(c.FirstByte.Sub(c.Granted))))
	}
	if tell := x.a.config.OnColdStart; tell != nil {
		tell(c)
	}
}

func milliseconds(d time.Duration) float64 { return float64(d) / float64(time.Millisecond) }
