package load

import (
	"math"
	"slices"
	"time"

	"github.com/sluice-proxy/sluice/bench/internal/origin"
)

// Protocol is the protocol of clients.
type Protocol string

// The protocols. HTTP2 is HTTP/2 with prior knowledge.
const (
	HTTP1 Protocol = "http1"
	HTTP2 Protocol = "http2"
	GRPC  Protocol = "grpc"
)

// Host is the host of every request, by which the activator finds the revision.
const Host = "bench.default.svc.cluster.local"

// Target is a request, and the address to send it to.
type Target struct {
	Addr     string
	Path     string
	Protocol Protocol
	Header   []string // lines, "Name: value"
}

func (t Target) url() string { return "http://" + t.Addr + t.Path }

// Run is a load of small requests.
type Run struct {
	Dir         string // directory for files of the programs
	Target      Target
	CPUs        string // CPUs that the program may use, as a list of taskset(1); "": all
	Connections int
	Streams     int // for HTTP/2: requests at a time on each connection
	Duration    time.Duration
}

// Result is the result of a load.
type Result struct {
	Requests       int
	Bytes          int64 // bytes of bodies, for Transfer
	Elapsed        time.Duration
	P50, P99, P999 time.Duration // 0 if there were too few requests
}

// summary sets the percentiles.
func (r Result) summary(latencies []time.Duration) Result {
	slices.Sort(latencies)
	r.P50, r.P99, r.P999 = percentile(latencies, 50), percentile(latencies, 99), percentile(latencies, 99.9)
	return r.credible()
}

// credible sets a percentile to 0 unless some request was above it.
func (r Result) credible() Result {
	if r.Requests < 100 {
		r.P99 = 0
	}
	if r.Requests < 1000 {
		r.P999 = 0
	}
	return r
}

// percentile returns the nearest-rank percentile: the least value that at least p percent don't exceed; 0 without values.
func percentile(sorted []time.Duration, p float64) time.Duration {
	if len(sorted) == 0 {
		return 0
	}
	rank := int(math.Ceil(p*float64(len(sorted))/100 - 1e-6)) // 99.9 is not a binary fraction
	return sorted[max(rank, 1)-1]
}

// message is a gRPC message of 12 bytes with its prefix of five (gRPC over HTTP/2: Length-Prefixed-Message).
var message = append([]byte{0, 0, 0, 0, byte(len(origin.Hello))}, origin.Hello...)
