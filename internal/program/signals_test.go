package program

import (
	"os"
	"os/signal"
	"slices"
	"syscall"
	"testing"
)

// A program under nohup continues to run when its terminal closes.
func TestSignals(t *testing.T) {
	defer signal.Reset(syscall.SIGHUP)
	signal.Reset(syscall.SIGHUP)
	for _, ignored := range []bool{false, true} {
		if ignored {
			signal.Ignore(syscall.SIGHUP)
		}
		got := Signals()
		if !slices.Contains(got, os.Signal(syscall.SIGTERM)) {
			t.Errorf("%v", got)
		}
		if slices.Contains(got, os.Signal(syscall.SIGHUP)) == ignored {
			t.Errorf("SIGHUP ignored %v: %v", ignored, got)
		}
	}
}
