//go:build race

package eventlog

// stride is of the tests of every prefix and bit flip: the race detector is slow, and finds nothing in all of them.
const stride = 61
