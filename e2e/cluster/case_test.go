package cluster_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"testing"
	"time"
)

// testCase is a row of the table. run returns the figure for the cell, or an error if the case fails.
type testCase struct {
	name string
	// needs are those of our parts without which the case can't pass: a way without them only records the outcome.
	needs parts
	long  bool // skipped with -test.short and -core
	run   func(ctx context.Context, w *world) (figure string, err error)
}

// phase is a group of cases that run in parallel, in their own namespace.
type phase struct {
	name          string
	serial        bool // one case after the other
	before, after func(ctx context.Context, w *world) error
	cases         []testCase
}

// errSkip is the error of a case that can't be run here.
var errSkip = errors.New("skipped")

const caseLimit = 4 * time.Minute

func (p phase) selected(w way) phase {
	short := testing.Short() || w.in(options.core)
	p.cases = slices.DeleteFunc(slices.Clone(p.cases), func(c testCase) bool {
		return c.long && short || !options.cases.MatchString(c.name)
	})
	return p
}

func (p phase) run(t *testing.T, w *world, out *report) {
	begun := time.Now()
	ctx := t.Context()
	if err := w.makeNamespace(ctx, w.namespace); err != nil {
		t.Fatal(err)
	}
	defer func() {
		w.logf("%s took %v", t.Name(), time.Since(begun).Round(time.Second))
		if err := w.deleteNamespace(context.WithoutCancel(ctx), w.namespace); err != nil {
			t.Error(err)
		}
	}()
	w.shared, w.deployed = map[string]*revision{}, new(deployed)
	if p.after != nil {
		defer func() {
			if err := p.after(context.WithoutCancel(ctx), w); err != nil {
				t.Error("after the phase: ", err)
			}
		}()
	}
	if p.before != nil {
		err := p.before(ctx, w)
		if errors.Is(err, errSkip) {
			t.Skip(err)
		}
		if err != nil {
			p.fail(t, w, out, err)
			return
		}
	}
	// The parallel cases end before Run returns, and so before the deferred calls.
	t.Run("", func(t *testing.T) {
		for _, c := range p.cases {
			t.Run(c.name, func(t *testing.T) {
				if !p.serial {
					t.Parallel()
				}
				c.judge(t, w, out)
			})
		}
	})
}

// fail records an error for all cases of a phase that could not be run.
func (p phase) fail(t *testing.T, w *world, out *report, err error) {
	for _, c := range p.cases {
		c.record(t, w, out, "", fmt.Errorf("before the phase: %w", err))
	}
}

func (c testCase) judge(t *testing.T, w *world, out *report) {
	ctx, cancel := context.WithTimeout(t.Context(), caseLimit)
	defer cancel()
	begun := time.Now()
	own := *w
	own.deployed = new(deployed)
	figure, err := c.run(ctx, &own)
	if errors.Is(err, errSkip) {
		t.Skip(err)
	}
	w.logf("%-60s %-5v %s %v (%v)", t.Name(), err == nil, figure, err, time.Since(begun).Round(time.Second/10))
	if c.record(t, w, out, figure, err); t.Failed() {
		t.Log(w.deployed.evidence(t.Context()), own.deployed.evidence(t.Context()))
	}
}

func (c testCase) record(t *testing.T, w *world, out *report, figure string, err error) {
	out.add(c.name, w.way.name, outcome{figure: figure, err: err})
	switch {
	case err == nil:
	case w.way.ours == 0 || c.needs&^w.way.ours != 0:
		t.Log("the case fails, which is only recorded in this way: ", err)
	default:
		t.Error(err)
	}
}
