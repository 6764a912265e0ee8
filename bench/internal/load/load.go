package load

import (
	"math"
	"slices"
	"time"

	"github.com/sluice-proxy/sluice/bench/internal/origin"
)

// Protocol is what clients speak.
type Protocol string

// The protocols; HTTP/2 is with prior knowledge.
const (
	HTTP1 Protocol = "http1"
	HTTP2 Protocol = "http2"
	GRPC  Protocol = "grpc"
)

// Host is whom every request is for: a revision, as the activator finds it by its name.
const Host = "bench.default.svc.cluster.local"

// Target is what to ask, and where.
type Target struct {
	Addr     string
	Path     string
	Protocol Protocol
	Header   []string // lines, "Name: value"
}

func (t Target) url() string { return "http://" + t.Addr + t.Path }

// Run is a load of small requests.
type Run struct {
	Dir         string // gets files that programs need
	Target      Target
	CPUs        string // that the program may use, as taskset(1) lists them; "": all
	Connections int
	Streams     int // requests at a time on each, of HTTP/2
	Duration    time.Duration
}

// Result is what came of it.
type Result struct {
	Requests       int
	Bytes          int64 // of bodies that were transferred to measure them
	Elapsed        time.Duration
	P50, P99, P999 time.Duration // 0 where there were too few requests to tell
}

// summary fills in the percentiles.
func (r Result) summary(latencies []time.Duration) Result {
	slices.Sort(latencies)
	r.P50, r.P99, r.P999 = percentile(latencies, 50), percentile(latencies, 99), percentile(latencies, 99.9)
	return r.credible()
}

// credible keeps a percentile only where some request was above it.
func (r Result) credible() Result {
	if r.Requests < 100 {
		r.P99 = 0
	}
	if r.Requests < 1000 {
		r.P999 = 0
	}
	return r
}

// percentile is by nearest rank: the least value that p percent are not above. 0 when there is none.
func percentile(sorted []time.Duration, p float64) time.Duration {
	if len(sorted) == 0 {
		return 0
	}
	rank := int(math.Ceil(p*float64(len(sorted))/100 - 1e-6)) // 99.9 is no binary fraction
	return sorted[max(rank, 1)-1]
}

// message is a gRPC message of 12 bytes with its prefix of five (gRPC over HTTP/2: Length-Prefixed-Message).
var message = append([]byte{0, 0, 0, 0, byte(len(origin.Hello))}, origin.Hello...)
