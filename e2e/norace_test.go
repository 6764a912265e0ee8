//go:build !race

package e2e

const raceEnabled = false

// "Under load" is at least minRate requests per second; the rate is above it in spite of starts and ends.
const (
	loadRate = 600
	minRate  = 500
)
