package autoscaler

import (
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/sluice-proxy/sluice/internal/knative"
)

// Prefix of the annotations that Parse knows.
const Prefix = knative.AutoscalingPrefix

// Metric is the load by which a revision scales.
type Metric string

// The metrics.
const (
	Concurrency Metric = "concurrency" // requests in flight
	RPS         Metric = "rps"         // requests per second
)

// Spec has the settings of one revision.
type Spec struct {
	Metric              Metric
	Target              float64 // load that one replica should get, > 0
	StableWindow        time.Duration
	PanicWindow         time.Duration
	PanicThreshold      float64 // 2: twice the ready replicas
	MaxScaleUpRate      float64
	MaxScaleDownRate    float64
	ScaleDownDelay      time.Duration
	Min, Max            int           // Max 0: no bound
	Initial, Activation int           // Initial at most Max
	Grace               time.Duration // inactive for that long, the revision loses its last replica
}

// AnnotationError is the error of an invalid annotation.
type AnnotationError struct{ Key, Why string }

func (e *AnnotationError) Error() string { return e.Key + ": " + e.Why }

// Annotation of a revision.
type Annotation struct{ Key, Value string }

// Parse returns the Spec of a revision whose containers handle limit requests at a time (0: any number). It ignores
// annotations without Prefix. Its error is an *AnnotationError.
func Parse(d Defaults, limit int, annotations []Annotation) (Spec, error) {
	s := Spec{
		Metric:           Concurrency,
		StableWindow:     d.StableWindow,
		PanicThreshold:   d.PanicThresholdPercentage / 100,
		MaxScaleUpRate:   d.MaxScaleUpRate,
		MaxScaleDownRate: d.MaxScaleDownRate,
		ScaleDownDelay:   d.ScaleDownDelay,
		Min:              d.MinScale,
		Max:              d.MaxScale,
		Initial:          d.InitialScale,
		Activation:       1,
	}
	p := parsed{panicWindow: d.PanicWindowPercentage, retention: d.ScaleToZeroPodRetention}
	for _, a := range annotations {
		name, ours := strings.CutPrefix(a.Key, Prefix)
		if !ours {
			continue
		}
		i := slices.IndexFunc(known, func(k annotation) bool { return k.name == name || k.alias == name })
		if i < 0 {
			return Spec{}, &AnnotationError{a.Key, "not supported"}
		}
		if why := known[i].read(a.Value, &s, &p, d); why != "" {
			return Spec{}, &AnnotationError{a.Key, why + ", is " + strconv.Quote(a.Value)}
		}
	}
	if s.Max > 0 && s.Min > s.Max {
		return Spec{}, &AnnotationError{Prefix + "min-scale", fmt.Sprintf("is %d, more than max-scale, which is %d", s.Min, s.Max)}
	}
	if !d.EnableScaleToZero {
		s.Min = max(s.Min, 1)
	}
	if s.Max > 0 {
		s.Initial = min(s.Initial, s.Max)
	}
	s.Target = p.target(s.Metric, limit, d)
	s.PanicWindow = max(time.Second, time.Duration(float64(s.StableWindow)*p.panicWindow/100))
	s.Grace = max(d.ScaleToZeroGracePeriod, p.retention)
	return s, nil
}

// parsed has the annotations that affect a Spec only in combination.
type parsed struct {
	total, utilization float64 // 0: not set
	panicWindow        float64
	retention          time.Duration
}

// target returns the load that one replica should get. The limit bounds a target in requests at a time: more would wait.
func (p parsed) target(m Metric, limit int, d Defaults) float64 {
	total, utilization := d.RPSTarget, d.TargetPercentage
	if m == Concurrency {
		total = d.ConcurrencyTarget
		if limit > 0 {
			total = float64(limit)
		}
	}
	if p.total > 0 {
		total = p.total
		if m == Concurrency && limit > 0 {
			total = math.Min(total, float64(limit))
		}
	}
	if p.utilization > 0 {
		utilization = p.utilization
	}
	return math.Max(total*utilization/100, minTarget)
}

// annotation is a known annotation. Its read returns what the value should be if it is invalid.
type annotation struct {
	name, alias string // alias: its name until Knative 0.24
	read        func(value string, s *Spec, p *parsed, d Defaults) string
}

var known = []annotation{
	{"class", "", func(v string, _ *Spec, _ *parsed, _ Defaults) string {
		return unless(v == "kpa.autoscaling.knative.dev", "should be kpa.autoscaling.knative.dev, the only one here")
	}},
	{"metric", "", func(v string, s *Spec, _ *parsed, _ Defaults) string {
		s.Metric = Metric(v)
		return unless(s.Metric == Concurrency || s.Metric == RPS, "should be concurrency or rps")
	}},
	{"min-scale", "minScale", func(v string, s *Spec, _ *parsed, _ Defaults) string { return whole(v, &s.Min, 0) }},
	{"max-scale", "maxScale", func(v string, s *Spec, _ *parsed, d Defaults) string {
		why := whole(v, &s.Max, 0)
		if l := d.MaxScaleLimit; why == "" && l > 0 && (s.Max == 0 || s.Max > l) {
			why = fmt.Sprintf("should be from 1 to %d (max-scale-limit)", l)
		}
		return why
	}},
	{"initial-scale", "initialScale", func(v string, s *Spec, _ *parsed, d Defaults) string {
		if d.AllowZeroInitialScale {
			return whole(v, &s.Initial, 0)
		}
		return whole(v, &s.Initial, 1)
	}},
	{"activation-scale", "activationScale", func(v string, s *Spec, _ *parsed, _ Defaults) string { return whole(v, &s.Activation, 1) }},
	{"target", "", func(v string, _ *Spec, p *parsed, _ Defaults) string { return number(v, &p.total, minTarget, 1e6) }},
	{"target-utilization-percentage", "targetUtilizationPercentage", func(v string, _ *Spec, p *parsed, _ Defaults) string {
		return number(v, &p.utilization, 1, 100)
	}},
	{"window", "", func(v string, s *Spec, _ *parsed, _ Defaults) string {
		return span(v, &s.StableWindow, minWindowAnnotation)
	}},
	{"panic-window-percentage", "panicWindowPercentage", func(v string, _ *Spec, p *parsed, _ Defaults) string {
		return number(v, &p.panicWindow, 1, 100)
	}},
	{"panic-threshold-percentage", "panicThresholdPercentage", func(v string, s *Spec, _ *parsed, _ Defaults) string {
		why := number(v, &s.PanicThreshold, 110, 1000)
		s.PanicThreshold /= 100
		return why
	}},
	{"scale-down-delay", "scaleDownDelay", func(v string, s *Spec, _ *parsed, _ Defaults) string {
		return span(v, &s.ScaleDownDelay, 0)
	}},
	{"scale-to-zero-pod-retention-period", "scaleToZeroPodRetentionPeriod", func(v string, _ *Spec, p *parsed, _ Defaults) string {
		return span(v, &p.retention, 0)
	}},
}

func unless(ok bool, why string) string {
	if ok {
		return ""
	}
	return why
}

func whole(v string, to *int, low int) string {
	n, err := strconv.ParseInt(v, 10, 32)
	*to = int(n)
	return unless(err == nil && *to >= low, fmt.Sprintf("should be a whole number from %d up", low))
}

func number(v string, to *float64, low, high float64) string {
	n, err := strconv.ParseFloat(v, 64)
	*to = n
	return unless(err == nil && n >= low && n <= high, fmt.Sprintf("should be a number from %v to %v", low, high))
}

func span(v string, to *time.Duration, low time.Duration) string {
	n, err := time.ParseDuration(v)
	*to = n
	return unless(err == nil && n >= low && n <= maxWindow && n%time.Second == 0,
		fmt.Sprintf("should be a duration of whole seconds from %v to %v", low, maxWindow))
}
