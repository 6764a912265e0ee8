package replica

import (
	"net"
	"os"
	"slices"
	"syscall"
	"testing"
)

// childrenOf a process.
func childrenOf(pid int) (children []proc) {
	for _, p := range processes() {
		if p.parent == pid {
			children = append(children, p)
		}
	}
	return children
}

func TestOrphansAreReaped(t *testing.T) {
	t.Parallel()
	w := newWorld(t, "orphan")
	w.start()
	w.await(2, "the app and the orphan run", line(App, "app runs"))
	app, proxy := w.await(1, "start", kind(Started, App)).PID, w.await(1, "start", kind(Started, QueueProxy)).PID
	var orphan int
	w.eventually("the supervisor is the orphan's parent", func() bool {
		for _, child := range childrenOf(w.r.PID()) {
			if child.pid != app && child.pid != proxy {
				orphan = child.pid
			}
		}
		return orphan > 0
	})
	if err := syscall.Kill(orphan, syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	w.eventually("it is no zombie", func() bool {
		return !slices.ContainsFunc(childrenOf(w.r.PID()), func(p proc) bool { return p.pid == orphan })
	})
}

func TestListensIn(t *testing.T) {
	for _, addr := range []string{"127.0.0.1:0", "[::1]:0"} {
		l, err := net.Listen("tcp", addr)
		if err != nil {
			t.Fatal(err)
		}
		port := l.Addr().(*net.TCPAddr).Port
		if !ListensIn(os.Getpid(), port) {
			t.Errorf("%v isn't seen", l.Addr())
		}
		l.Close()
		if ListensIn(os.Getpid(), port) {
			t.Errorf("%v is closed", l.Addr())
		}
	}
}
