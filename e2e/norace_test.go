//go:build !race

package e2e

const raceEnabled = false

// loadRate is how many requests per second a load asks for. Of a busy machine it gets what there is.
const loadRate = 600
