package report

import (
	"cmp"
	"encoding/json"
	"io"
	"slices"
	"time"
)

// Report is a whole comparison.
type Report struct {
	When      time.Time         `json:"when"`
	Command   string            `json:"command"`
	Machine   string            `json:"machine"`
	Versions  map[string]string `json:"versions"`
	Rounds    int               `json:"rounds"`
	Duration  time.Duration     `json:"duration_ns"`    // of a measurement
	Base      string            `json:"base"`           // the contender that the others are compared with
	Also      []string          `json:"also,omitempty"` // more such contenders
	Scenarios []*Scenario       `json:"scenarios"`
}

// Scenario is a load, and the results of all contenders.
type Scenario struct {
	Name string `json:"name"`
	What string `json:"what"`
	Kind Kind   `json:"kind"`
	Rows []*Row `json:"rows"`
}

// Row has the results of one contender in a scenario.
type Row struct {
	Contender string   `json:"contender"`
	Own       bool     `json:"own,omitempty"`      // one of this project's
	Baseline  string   `json:"baseline,omitempty"` // a contender that this one is compared with besides
	Samples   []Sample `json:"samples"`            // one per round
	Failed    string   `json:"failed,omitempty"`   // why there are no more samples
	Omitted   string   `json:"omitted,omitempty"`  // why the contender does not take part
}

// Sample is the measurement of one round; fields that the Kind does not use are 0.
type Sample struct {
	Round         int           `json:"round"`
	Requests      float64       `json:"requests_per_second,omitempty"`
	Bytes         float64       `json:"bytes_per_second,omitempty"`
	CPU           float64       `json:"cpu_us_per_request,omitempty"`
	CPUPerGiB     float64       `json:"cpu_ms_per_gib,omitempty"`
	PerConnection float64       `json:"bytes_per_connection,omitempty"`
	P50           time.Duration `json:"p50_ns,omitempty"`
	P99           time.Duration `json:"p99_ns,omitempty"`
	P999          time.Duration `json:"p999_ns,omitempty"`
	Resident      int64         `json:"resident_bytes"` // at the end
}

// Kind is the kind of figure that a scenario measures.
type Kind string

// The kinds, with the cost in each.
const (
	Requests Kind = "requests" // CPU per request
	Transfer Kind = "transfer" // CPU per GiB
	Fairness Kind = "fairness" // 99th percentile of latency over the median
	Memory   Kind = "memory"   // resident memory per connection
)

// Cost is the figure of the kind, in µs, ms, a ratio, or bytes; less is better.
func (k Kind) Cost(s Sample) float64 {
	switch k {
	case Transfer:
		return s.CPUPerGiB
	case Fairness:
		return over(float64(s.P99), float64(s.P50))
	case Memory:
		return s.PerConnection
	}
	return s.CPU
}

func over(a, b float64) float64 {
	if b == 0 {
		return 0
	}
	return a / b
}

// Row returns the row of a contender, or nil.
func (s *Scenario) Row(contender string) *Row {
	i := slices.IndexFunc(s.Rows, func(r *Row) bool { return r.Contender == contender })
	if i < 0 {
		return nil
	}
	return s.Rows[i]
}

// Values returns the costs of all rounds.
func (r *Row) Values(of func(Sample) float64) []float64 {
	all := make([]float64, 0, len(r.Samples))
	for _, s := range r.Samples {
		all = append(all, of(s))
	}
	return all
}

// Ratio is the median ratio of r's values to base's in the rounds that have both, or 0 without such rounds.
func (r *Row) Ratio(base *Row, of func(Sample) float64) float64 {
	if base == nil {
		return 0
	}
	var all []float64
	for _, s := range r.Samples {
		i := slices.IndexFunc(base.Samples, func(b Sample) bool { return b.Round == s.Round })
		if i >= 0 && of(base.Samples[i]) > 0 && of(s) > 0 {
			all = append(all, of(s)/of(base.Samples[i]))
		}
	}
	return Median(all)
}

// Median returns the median of values: the mean of the middle two for an even number, 0 for none.
func Median(values []float64) float64 {
	if len(values) == 0 {
		return 0
	}
	sorted := slices.SortedFunc(slices.Values(values), cmp.Compare)
	half := len(sorted) / 2
	if len(sorted)%2 == 1 {
		return sorted[half]
	}
	return (sorted[half-1] + sorted[half]) / 2
}

// Spread is half the difference between the greatest and the least value, relative to the median; 0 for fewer than two.
func Spread(values []float64) float64 {
	if len(values) < 2 {
		return 0
	}
	return over((slices.Max(values)-slices.Min(values))/2, Median(values))
}

// JSON writes all samples.
func (r *Report) JSON(w io.Writer) error {
	e := json.NewEncoder(w)
	e.SetIndent("", "  ")
	return e.Encode(r)
}
