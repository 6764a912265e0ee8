package procs

import (
	"runtime"
	"testing"
)

func TestHalf(t *testing.T) {
	before := runtime.GOMAXPROCS(0)
	defer runtime.GOMAXPROCS(before)
	for _, test := range []struct {
		variable   string
		have, want int
	}{
		{"", 1, 1},
		{"", 2, 1},
		{"", 3, 1},
		{"", 8, 4},
		{"8", 8, 8},
	} {
		t.Setenv("GOMAXPROCS", test.variable)
		runtime.GOMAXPROCS(test.have)
		Half()
		if got := runtime.GOMAXPROCS(0); got != test.want {
			t.Errorf("GOMAXPROCS=%s, of %d: %d, want %d", test.variable, test.have, got, test.want)
		}
	}
}
