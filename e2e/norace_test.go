//go:build !race

package e2e

const raceEnabled = false

// loadRate is the number of requests per second of a load; on a busy machine there are fewer.
const loadRate = 600
