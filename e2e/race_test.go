//go:build race

package e2e

const raceEnabled = true

// The instrumented binaries need several times the CPU time, so that the usual load would be an overload.
const loadRate = 150
