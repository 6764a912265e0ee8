package program

import (
	"os"
	"os/signal"
	"syscall"
)

// Signals returns the signals after which a program drains and ends: SIGTERM, which Kubernetes and service managers send;
// SIGINT, which Ctrl-C sends; and SIGHUP, which comes when the terminal closes, and which container runtimes send if an
// image's STOPSIGNAL names it. A SIGHUP that the process ignores, as under nohup, is not among them, since os/signal would
// catch it again.
func Signals() []os.Signal {
	s := []os.Signal{syscall.SIGTERM, syscall.SIGINT}
	if !signal.Ignored(syscall.SIGHUP) {
		s = append(s, syscall.SIGHUP)
	}
	return s
}
