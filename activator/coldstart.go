package activator

import (
	"time"

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

func milliseconds(d time.Duration) float64 { return float64(d) / float64(time.Millisecond) }
