//go:build !race

package eventlog

// stride is of the tests of every prefix and bit flip.
const stride = 1
