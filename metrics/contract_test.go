package metrics

import (
	"slices"
	"testing"
	"time"
)

// Numbers that others rely on: dashboards on the buckets, the autoscaler on the rest. They are written out once more
// here, so that no change of them goes unnoticed.
func TestNumbersOfTheContract(t *testing.T) {
	if got, want := secondsBuckets(), []float64{
		0.005, 0.01, 0.025, 0.05, 0.075, 0.1, 0.25, 0.5, 0.75, 1, 2.5, 5, 7.5, 10,
	}; !slices.Equal(got, want) {
		t.Errorf("seconds: %v, want %v", got, want)
	}
	if got, want := millisBuckets(), []float64{
		5, 10, 20, 40, 60, 80, 100, 150, 200, 250, 300, 350, 400, 450, 500, 600, 700, 800, 900, 1000, 2000, 5000, 10000,
		20000, 50000, 100000,
	}; !slices.Equal(got, want) {
		t.Errorf("milliseconds: %v, want %v", got, want)
	}
	if maxStatSize != 336 {
		t.Errorf("a scraper reads 336 bytes, not %d", maxStatSize)
	}
	c := StatSenderConfig{URL: "ws://x"}.withDefaults()
	if c.PingInterval != 10*time.Second/3 || c.PongTimeout != 10*time.Second {
		t.Errorf("pings each %v, %v without a pong", c.PingInterval, c.PongTimeout)
	}
}
