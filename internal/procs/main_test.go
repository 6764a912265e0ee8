package procs

import (
	"os"
	"testing"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) {
	if os.Getenv("PROCS_FOLLOWER") != "" {
		follower()
		return
	}
	goleak.VerifyTestMain(m)
}
