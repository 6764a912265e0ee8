package orphans

import (
	"os"
	"testing"

	"go.uber.org/goleak"
)

// The test binary is also a test that is killed.
func TestMain(m *testing.M) {
	if os.Getenv("ORPHANS") != "" {
		victim()
	}
	goleak.VerifyTestMain(m)
}
