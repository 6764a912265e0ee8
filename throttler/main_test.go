package throttler

import (
	"testing"
	"testing/synctest"

	"go.uber.org/goleak"
	"pgregory.net/rapid"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// checkInBubble is rapid.Check with a fake clock, some times over since its steps are cheap. A test in a bubble has no deadline, and panics when rapid asks a
// *testing.T for it.
func checkInBubble(t *testing.T, property func(*rapid.T)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		for range 20 {
			rapid.Check(struct{ *testing.T }{t}, property)
		}
	})
}
