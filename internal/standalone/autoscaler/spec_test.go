package autoscaler

import (
	"errors"
	"flag"
	"io"
	"strings"
	"testing"
	"time"
)

func TestStandardIsValidAndKnatives(t *testing.T) {
	d := Standard()
	if err := d.Validate(); err != nil {
		t.Fatal(err)
	}
	s := testSpec(t, 0)
	if s.Target != 70 || s.StableWindow != time.Minute || s.PanicWindow != 6*time.Second || s.PanicThreshold != 2 || s.Grace != 30*time.Second {
		t.Errorf("%+v", s)
	}
}

func TestFlagsAreNamedAfterTheKeys(t *testing.T) {
	d := Standard()
	fs := flag.NewFlagSet("", flag.ContinueOnError)
	d.Flags(fs)
	if err := fs.Parse(strings.Fields("-stable-window 6s -scale-to-zero-grace-period 1s -initial-scale 2 -max-scale 9 -enable-scale-to-zero=false")); err != nil {
		t.Fatal(err)
	}
	s, err := Parse(d, 0, nil)
	if err != nil || s.StableWindow != 6*time.Second || s.Grace != time.Second || s.Initial != 2 || s.Max != 9 || s.Min != 1 {
		t.Errorf("%+v, %v", s, err)
	}
}

func TestValidateNamesTheFlag(t *testing.T) {
	for name, value := range map[string]string{
		"stable-window": "0s", "panic-window-percentage": "0", "panic-threshold-percentage": "100", "max-scale-up-rate": "1",
		"max-scale-down-rate": "NaN", "container-concurrency-target-percentage": "101", "tick-interval": "1ms",
		"scale-to-zero-grace-period": "-1s", "allow-zero-initial-scale": "false", "min-scale": "-1", "max-scale-limit": "3",
		"requests-per-second-target-default": "0", "container-concurrency-target-default": "0", "scale-down-delay": "2h",
		"scale-to-zero-pod-retention-period": "2h", "initial-scale": "-1", "max-scale": "-1",
	} {
		d := Standard()
		fs := flag.NewFlagSet("", flag.ContinueOnError)
		fs.SetOutput(io.Discard)
		d.Flags(fs)
		if err := fs.Parse([]string{"-" + name + "=" + value}); err != nil {
			t.Fatal(err)
		}
		if err := d.Validate(); err == nil || !strings.Contains(err.Error(), "-"+name) {
			t.Errorf("-%s %s: %v", name, value, err)
		}
	}
}

func TestParseRefuses(t *testing.T) {
	strict := Standard()
	strict.AllowZeroInitialScale, strict.InitialScale, strict.MaxScale, strict.MaxScaleLimit = false, 1, 5, 10
	for _, c := range []struct{ key, value, want string }{
		{"frobnicate", "1", "not supported"},
		{"target-burst-capacity", "0", "not supported"},
		{"class", "hpa.autoscaling.knative.dev", "should be kpa"},
		{"metric", "cpu", `should be concurrency or rps, is "cpu"`},
		{"target", "0", "should be a number from 0.01"},
		{"target", "NaN", "should be a number from 0.01"},
		{"min-scale", "-1", "should be a whole number from 0 up"},
		{"minScale", "9", "more than max-scale"},
		{"max-scale", "11", "should be from 1 to 10 (max-scale-limit)"},
		{"max-scale", "0", "should be from 1 to 10 (max-scale-limit)"},
		{"initial-scale", "0", "from 1 up"},
		{"activation-scale", "0", "from 1 up"},
		{"window", "5s", "from 6s to 1h0m0s"},
		{"window", "6500ms", "whole seconds"},
		{"panic-window-percentage", "0.5", "from 1 to 100"},
		{"panic-threshold-percentage", "109", "from 110 to 1000"},
		{"target-utilization-percentage", "0", "from 1 to 100"},
		{"scale-down-delay", "x", "should be a duration"},
		{"scale-to-zero-pod-retention-period", "2h", "should be a duration"},
	} {
		_, err := Parse(strict, 0, []Annotation{{Prefix + c.key, c.value}})
		e, ok := errors.AsType[*AnnotationError](err)
		if !ok || !strings.Contains(e.Why, c.want) || !strings.HasPrefix(e.Key, Prefix) {
			t.Errorf("%s=%s: %v, want %s", c.key, c.value, err, c.want)
		}
	}
	if _, err := Parse(strict, 0, []Annotation{{"example.com/target", "x"}}); err != nil {
		t.Errorf("an annotation of another domain: %v", err)
	}
}
