package program

import (
	"os"
	"os/signal"
	"syscall"
)

// Signals are those after which a program drains and ends: SIGTERM, which Kubernetes and service managers send; SIGINT,
// which Ctrl-C sends; and SIGHUP, which comes when the terminal closes, and which container runtimes send where an
// image's STOPSIGNAL says so. SIGHUP is left out while it is ignored: os/signal would catch it again, and whoever
// started the program under nohup has asked for it to go on.
func Signals() []os.Signal {
	s := []os.Signal{syscall.SIGTERM, syscall.SIGINT}
	if !signal.Ignored(syscall.SIGHUP) {
		s = append(s, syscall.SIGHUP)
	}
	return s
}
