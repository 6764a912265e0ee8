// Package contracttest holds tests to the contract with Knative, statement by statement.
package contracttest

import "testing"

// A Rule is one statement of the contract. It has a test of its own, or names the ones that show it, which the compiler
// then asks for.
type Rule struct {
	Says  string
	Test  func(t *testing.T)
	Shown []func(t *testing.T)
}

// By are the tests that show a Rule.
func By(tests ...func(*testing.T)) []func(*testing.T) { return tests }

// Follow runs the tests of rules that are shown nowhere else.
func Follow(t *testing.T, rules []Rule) {
	t.Helper()
	for _, r := range rules {
		switch {
		case r.Test != nil:
			t.Run(r.Says, r.Test)
		case len(r.Shown) == 0:
			t.Errorf("nothing shows that %s", r.Says)
		}
	}
}
