package queueproxy

import "testing"

// A rule is one statement of the contract with Knative about the queue-proxy. The contract_*_test.go files hold them,
// section by section. A rule has a test of its own, or names the one that shows it, which the compiler then asks for.
type rule struct {
	says  string
	test  func(t *testing.T)
	shown []func(t *testing.T)
}

func by(tests ...func(*testing.T)) []func(*testing.T) { return tests }

// follow runs the tests of rules that are shown nowhere else.
func follow(t *testing.T, rules []rule) {
	t.Helper()
	for _, r := range rules {
		switch {
		case r.test != nil:
			t.Run(r.says, r.test)
		case len(r.shown) == 0:
			t.Errorf("nothing shows that %s", r.says)
		}
	}
}
