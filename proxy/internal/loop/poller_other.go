//go:build !linux

package loop

func newPoller(l *Loop) (poller, error) { return newBell(l), nil }
