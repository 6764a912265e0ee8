package orphans

import (
	"os"
	"testing"

	"go.uber.org/goleak"
)

// The test binary is also the program that the tests kill.
func TestMain(m *testing.M) {
	if os.Getenv("ORPHANS") != "" {
		victim()
	}
	goleak.VerifyTestMain(m)
}
