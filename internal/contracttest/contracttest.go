// Package contracttest checks that each statement of the contract with Knative has a test.
package contracttest

import "testing"

// A Rule is one statement of the contract. It has its own test, or refers to the tests that show it, which then have to exist
// for the package to compile.
type Rule struct {
	Says  string
	Test  func(t *testing.T)
	Shown []func(t *testing.T)
}

// By returns the tests that show a Rule.
func By(tests ...func(*testing.T)) []func(*testing.T) { return tests }

// Follow runs the rules' own tests, and fails t for a rule without any test.
func Follow(t *testing.T, rules []Rule) {
	t.Helper()
	for _, r := range rules {
		switch {
		case r.Test != nil:
			t.Run(r.Says, r.Test)
		case len(r.Shown) == 0:
			t.Errorf("no test shows that %s", r.Says)
		}
	}
}
