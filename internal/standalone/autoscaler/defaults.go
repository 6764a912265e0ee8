package autoscaler

import (
	"cmp"
	"errors"
	"flag"
	"fmt"
	"time"
)

// Defaults are the settings of Knative's ConfigMap config-autoscaler; annotations of a revision override most of them.
// The zero value is not usable: start with Standard.
type Defaults struct {
	TargetPercentage         float64 // container-concurrency-target-percentage: how full a replica should be
	ConcurrencyTarget        float64 // container-concurrency-target-default: for revisions without a limit
	RPSTarget                float64 // requests-per-second-target-default
	StableWindow             time.Duration
	PanicWindowPercentage    float64 // of the stable window
	PanicThresholdPercentage float64
	MaxScaleUpRate           float64
	MaxScaleDownRate         float64
	EnableScaleToZero        bool
	ScaleToZeroGracePeriod   time.Duration
	ScaleToZeroPodRetention  time.Duration
	ScaleDownDelay           time.Duration
	InitialScale             int
	AllowZeroInitialScale    bool
	MinScale, MaxScale       int // 0: none
	MaxScaleLimit            int // upper limit of any max-scale; 0: none
	TickInterval             time.Duration
}

// Standard returns the defaults of Knative 1.23, except that a new revision starts without a replica, so that a user sees
// the first request start one. In Knative InitialScale is 1.
func Standard() Defaults {
	return Defaults{
		TargetPercentage:         70,
		ConcurrencyTarget:        100,
		RPSTarget:                200,
		StableWindow:             time.Minute,
		PanicWindowPercentage:    10,
		PanicThresholdPercentage: 200,
		MaxScaleUpRate:           1000,
		MaxScaleDownRate:         2,
		EnableScaleToZero:        true,
		ScaleToZeroGracePeriod:   30 * time.Second,
		AllowZeroInitialScale:    true,
		TickInterval:             2 * time.Second,
	}
}

// Knative's bounds, except for the shortest stable window, which is 6 s there.
const (
	minWindow           = time.Second
	minWindowAnnotation = 6 * time.Second
	maxWindow           = time.Hour
	minTarget           = 0.01
)

// Flags defines a flag for each of d, named after the key of config-autoscaler.
func (d *Defaults) Flags(fs *flag.FlagSet) {
	fs.Float64Var(&d.TargetPercentage, "container-concurrency-target-percentage", d.TargetPercentage, "desired load of a replica, in `percent` of its limit or target")
	fs.Float64Var(&d.ConcurrencyTarget, "container-concurrency-target-default", d.ConcurrencyTarget, "`requests` at a time that one replica should handle when it has no limit")
	fs.Float64Var(&d.RPSTarget, "requests-per-second-target-default", d.RPSTarget, "the same for revisions that scale by the metric rps, in `requests` per second")
	fs.DurationVar(&d.StableWindow, "stable-window", d.StableWindow, "`duration` over which load is averaged; the annotation window")
	fs.Float64Var(&d.PanicWindowPercentage, "panic-window-percentage", d.PanicWindowPercentage, "the panic window, in `percent` of the stable window")
	fs.Float64Var(&d.PanicThresholdPercentage, "panic-threshold-percentage", d.PanicThresholdPercentage, "panic when the panic window needs this `percent` of the ready replicas")
	fs.Float64Var(&d.MaxScaleUpRate, "max-scale-up-rate", d.MaxScaleUpRate, "limit of one step up, in `times` the ready replicas")
	fs.Float64Var(&d.MaxScaleDownRate, "max-scale-down-rate", d.MaxScaleDownRate, "limit of one step down: the ready replicas divided by this `number`")
	fs.BoolVar(&d.EnableScaleToZero, "enable-scale-to-zero", d.EnableScaleToZero, "when false, each revision that gets traffic keeps a replica")
	fs.DurationVar(&d.ScaleToZeroGracePeriod, "scale-to-zero-grace-period", d.ScaleToZeroGracePeriod, "`duration` that the last replica stays after a stable window without load")
	fs.DurationVar(&d.ScaleToZeroPodRetention, "scale-to-zero-pod-retention-period", d.ScaleToZeroPodRetention, "the same as a `duration` of its own; the longer one counts")
	fs.DurationVar(&d.ScaleDownDelay, "scale-down-delay", d.ScaleDownDelay, "`duration` for which load must be lower before replicas are removed")
	fs.IntVar(&d.InitialScale, "initial-scale", d.InitialScale, "`replicas` of a new revision (Knative's own default is 1)")
	fs.BoolVar(&d.AllowZeroInitialScale, "allow-zero-initial-scale", d.AllowZeroInitialScale, "whether initial-scale may be 0 (Knative's own default is false)")
	fs.IntVar(&d.MinScale, "min-scale", d.MinScale, "minimum of `replicas` of a revision that gets traffic")
	fs.IntVar(&d.MaxScale, "max-scale", d.MaxScale, "limit of `replicas` of a revision; 0: that of -max-replicas")
	fs.IntVar(&d.MaxScaleLimit, "max-scale-limit", d.MaxScaleLimit, "highest max-scale that a manifest may set, in `replicas`; 0: any")
	fs.DurationVar(&d.TickInterval, "tick-interval", d.TickInterval, "`duration` between decisions; a request to a revision without replicas doesn't wait for one")
}

// Validate returns an error for each invalid default, which names its flag.
func (d Defaults) Validate() error {
	whole := func(name string, v int) error { return within(name, v, 0, 1<<30) }
	span := func(name string, v, low time.Duration) error { return within(name, v, low, maxWindow) }
	errs := []error{
		within("container-concurrency-target-percentage", d.TargetPercentage, 1, 100),
		within("container-concurrency-target-default", d.ConcurrencyTarget, minTarget, 1e6),
		within("requests-per-second-target-default", d.RPSTarget, minTarget, 1e6),
		span("stable-window", d.StableWindow, minWindow),
		within("panic-window-percentage", d.PanicWindowPercentage, 1, 100),
		within("panic-threshold-percentage", d.PanicThresholdPercentage, 110, 1000),
		within("max-scale-up-rate", d.MaxScaleUpRate, 1.01, 1e6),
		within("max-scale-down-rate", d.MaxScaleDownRate, 1.01, 1e6),
		span("scale-to-zero-grace-period", d.ScaleToZeroGracePeriod, 0),
		span("scale-to-zero-pod-retention-period", d.ScaleToZeroPodRetention, 0),
		span("scale-down-delay", d.ScaleDownDelay, 0),
		whole("initial-scale", d.InitialScale),
		whole("min-scale", d.MinScale),
		whole("max-scale", d.MaxScale),
		whole("max-scale-limit", d.MaxScaleLimit),
		within("tick-interval", d.TickInterval, 100*time.Millisecond, time.Minute),
	}
	if d.InitialScale == 0 && !d.AllowZeroInitialScale {
		errs = append(errs, errors.New("-initial-scale is 0, which -allow-zero-initial-scale=false forbids"))
	}
	if d.MaxScale > 0 && d.MinScale > d.MaxScale {
		errs = append(errs, fmt.Errorf("-min-scale is %d, more than -max-scale, which is %d", d.MinScale, d.MaxScale))
	}
	if d.MaxScaleLimit > 0 && (d.MaxScale == 0 || d.MaxScale > d.MaxScaleLimit) {
		errs = append(errs, fmt.Errorf("-max-scale should be from 1 to -max-scale-limit, which is %d, is %d", d.MaxScaleLimit, d.MaxScale))
	}
	return errors.Join(errs...)
}

func within[T cmp.Ordered](name string, v, low, high T) error {
	if v >= low && v <= high { // false for NaN
		return nil
	}
	return fmt.Errorf("-%s should be from %v to %v, is %v", name, low, high, v)
}
