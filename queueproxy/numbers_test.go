package queueproxy

import (
	"testing"
	"time"
)

// TestNumbersOfTheContract has the numbers that the contract, or the documentation of a field, says.
func TestNumbersOfTheContract(t *testing.T) {
	for _, n := range []struct {
		name      string
		got, want time.Duration
	}{
		{"between two statistics", statsPeriod, time.Second},
		{"until a drain is undone", drainUndo, time.Second},
		{"quiet period", DefaultDrainQuiet, 30 * time.Second},
		{"quiet period of an idle pod", DefaultDrainIdle, 5 * time.Second},
		{"grace period of a revision that sets none", DefaultGracePeriod, 300 * time.Second},
		{"of one probe request", readinessPatience, 10 * time.Second},
		{"for an app that starts", startPatience, time.Second},
		{"waiting requests for each slot", DefaultQueueFactor, 10},
		{"a drain of 300 s", drainLimit(300 * time.Second), 298500 * time.Millisecond},
		{"a drain of 10 s", drainLimit(10 * time.Second), 9 * time.Second},
		{"for the last telemetry", FlushTime, time.Second},
		{"for hooks to be answered", adminGrace, 500 * time.Millisecond},
	} {
		if n.got != n.want {
			t.Errorf("%s: %v, want %v", n.name, n.got, n.want)
		}
	}
}
