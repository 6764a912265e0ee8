package bench

import (
	"fmt"
	"os"
	"testing"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) {
	if addr := os.Getenv(originVariable); addr != "" {
		fmt.Fprintln(os.Stderr, serveOrigin(addr))
		os.Exit(1)
	}
	goleak.VerifyTestMain(m)
}
