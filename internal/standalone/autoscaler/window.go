package autoscaler

import "time"

// granularity is how long one bucket lasts; Knative's.
const granularity = time.Second

// window keeps the samples of the last seconds, one bucket each. After a pause as long as the window it starts anew, so
// that later samples are not averaged with the pause.
type window struct {
	ring        []bucket // by second modulo its length
	first, last int64    // seconds; meaningful when filled
	filled      bool
}

// bucket is the samples of one second.
type bucket struct{ sum, samples float64 }

func newWindow(length time.Duration) *window { return &window{ring: make([]bucket, buckets(length))} }

// buckets returns how many buckets d has, rounded up.
func buckets(d time.Duration) int { return max(1, int((d+granularity-1)/granularity)) }

func second(t time.Time) int64 { return t.Truncate(granularity).Unix() }

func (w *window) at(s int64) *bucket { return &w.ring[int(s%int64(len(w.ring)))] }

// record adds a sample. One that is older than the window is dropped.
func (w *window) record(now time.Time, v float64) {
	s := second(now)
	switch {
	case !w.filled, s-w.last >= int64(len(w.ring)): // all samples are too old
		clear(w.ring)
		w.first, w.last, w.filled = s, s, true
	case s > w.last:
		for gap := max(w.last+1, s-int64(len(w.ring))+1); gap <= s; gap++ {
			*w.at(gap) = bucket{}
		}
		w.last = s
	case s <= w.last-int64(len(w.ring)):
		return
	case s < w.first:
		w.first = s
	}
	b := w.at(s)
	b.sum += v
	b.samples++
}

// average over the window that ends now, or over the time since the first sample if that is shorter. The time since the
// last sample doesn't count, since its sample may follow; any other second without a sample counts as 0. It returns false
// if there is no sample.
func (w *window) average(now time.Time) (float64, bool) {
	if !w.filled {
		return 0, false
	}
	to := max(second(now), w.last)
	from := max(to-int64(len(w.ring))+1, w.first)
	if from > w.last {
		return 0, true
	}
	sum := 0.0
	for s := from; s <= w.last; s++ {
		if b := w.at(s); b.samples > 0 {
			sum += b.sum / b.samples
		}
	}
	return sum / float64(w.last-from+1), true
}
