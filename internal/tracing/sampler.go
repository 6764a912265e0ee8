package tracing

import (
	"encoding/binary"
	"math/rand/v2"

	"github.com/sluice-proxy/sluice/internal/observability"
)

// sampler decides which requests are recorded. The decision depends on the trace ID, as in OpenTelemetry's TraceIdRatioBased,
// so that all programs with the same rate record the same traces.
type sampler struct {
	bound       uint64 // the rate times 2⁶³
	parentBased bool
}

func newSampler(e observability.Exporter) sampler {
	return sampler{uint64(e.SamplingRate * (1 << 63)), e.ParentBased}
}

func (s sampler) sample(p *parent, id traceID) bool {
	if s.parentBased && p.decided {
		return p.sampled
	}
	return binary.BigEndian.Uint64(id[8:])>>1 < s.bound
}

func newTraceID() (id traceID) {
	for id == (traceID{}) {
		binary.BigEndian.PutUint64(id[:8], rand.Uint64())
		binary.BigEndian.PutUint64(id[8:], rand.Uint64())
	}
	return id
}

func newSpanID() (id spanID) {
	for id == (spanID{}) {
		binary.BigEndian.PutUint64(id[:], rand.Uint64())
	}
	return id
}
