package proxytest

import (
	"slices"
	"sync"
	"testing"
)

// testCase is a row of the table.
type testCase struct {
	name string
	run  func(r *rig)
	// scripted is the reason why the case needs its own policy, or settings that no product has, or "".
	scripted string
}

// Reasons of scripted cases.
const (
	severalUpstreams = "the policy chooses between upstreams"
	ownAnswers       = "the policy answers by itself"
	ownEdits         = "the policy reads or edits heads"
	ownMoments       = "the policy sets the start of timeouts"
	ownDial          = "the dial is the test's"
	smallBudget      = "the budget of retries is the test's"
	ownErrorTexts    = "the texts of errors are the test's"
)

// group is a part of the table.
type group struct {
	name  string
	cases []testCase
}

var groups = []group{
	{"Heads", heads},
	{"Bodies", bodies},
	{"Upgrades", upgrades},
	{"Timeouts", timeouts},
	{"Clients", clients},
	{"Retries", retries},
	{"Answers", answers},
	{"GRPC", grpcs},
	{"Speaks", speaks},
}

// atATime is how many cases run in parallel. It is more than the number of CPUs, since they mostly wait.
const atATime = 8

// Run runs the table on each of the paths.
func Run(t *testing.T, paths ...Path) {
	for i := range paths {
		paths[i] = paths[i].withDefaults()
	}
	t.Run("Memory", func(t *testing.T) { // alone, since it measures the whole process
		for _, p := range paths {
			t.Run(p.Name, func(t *testing.T) { p.run(t, memory, make(chan bool, 1)) })
		}
	})
	slots := make(chan bool, atATime)
	sideBySide(t, paths, func(p Path) string { return p.Name }, func(t *testing.T, p Path) {
		sideBySide(t, groups, func(g group) string { return g.name }, func(t *testing.T, g group) { p.run(t, g.cases, slots) })
	})
}

// sideBySide runs all in parallel as parts of a test.
func sideBySide[T any](t *testing.T, all []T, name func(T) string, run func(*testing.T, T)) {
	var running sync.WaitGroup
	for _, one := range all {
		running.Go(func() { t.Run(name(one), func(t *testing.T) { run(t, one) }) })
	}
	running.Wait()
}

// run runs cases in parallel, as many as there are slots, and logs which can't run through a product, and why.
func (p Path) run(t *testing.T, cases []testCase, slots chan bool) {
	held := slices.DeleteFunc(slices.Clone(cases), func(c testCase) bool {
		not := p.Product != nil && c.scripted != ""
		if not {
			t.Logf("not through a product: %s: %s", c.name, c.scripted)
		}
		return not
	})
	sideBySide(t, held, func(c testCase) string { return c.name }, func(t *testing.T, c testCase) {
		slots <- true
		defer func() { <-slots }()
		p.hold(t, c)
	})
}

// hold runs a case, and checks that the case is scripted exactly if the table has a reason.
func (p Path) hold(t *testing.T, c testCase) {
	r := &rig{T: t, path: p}
	c.run(r)
	r.settled()
	if is := r.scripted.Load(); p.Product == nil && is != (c.scripted != "") {
		t.Errorf("the case is scripted: %v; the table's reason is %q", is, c.scripted)
	}
}
