//go:build race

package e2e

const raceEnabled = true

// The instrumented binaries take several times the CPU: the usual load would be an overload.
const loadRate = 150
