package e2e

import (
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"
)

// withForks runs two replicas whose apps each have a grandchild in its own session.
func withForks(t *testing.T) *quickstart {
	t.Helper()
	needProc(t)
	q := serve(t, service{
		annotations: map[string]string{"min-scale": "2"}, env: map[string]string{"APP_FORK": "parent"},
	})
	mustGet(t, q.client(1), q.url("app", "/"))
	q.eventually("two replicas with their grandchildren", func() bool {
		forks := 0
		for _, n := range q.apps() {
			if n.Fork == "grandchild" {
				forks++
			}
		}
		return forks == 2
	})
	return q
}

func TestNothingIsLeftAfterSIGKILL(t *testing.T) {
	t.Parallel()
	q := withForks(t)
	before := q.processes()
	q.ended = true
	if err := q.cmd.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	killed := time.Now()
	q.eventually("no process is left", func() bool { return len(q.processes()) == 0 })
	t.Logf("%d processes gone after %v", len(before), time.Since(killed))
}

func TestNothingIsLeftAfterCtrlC(t *testing.T) {
	t.Parallel()
	q := withForks(t)
	_ = q.cmd.Process.Signal(os.Interrupt) // only to the quickstart, as with kill
	if code := q.wait().ExitCode(); code != 0 {
		t.Errorf("exit code %d", code)
	}
	if left := q.processes(); len(left) > 0 {
		t.Errorf("left: %v", left)
	}
}

// The commands of README.md work, with another port.
func TestGoRunQuickstart(t *testing.T) {
	t.Parallel()
	q := newQuickstart(t)
	cmd := exec.Command("go", append([]string{"run", "./cmd/quickstart"}, q.args()...)...)
	cmd.Dir = ".."
	cmd.Env = append(os.Environ(), "GOTMPDIR="+q.dir) // directory of go run's executable, by which its processes are found
	q.launch(cmd)
	q.eventually("the quickstart listens", func() bool {
		return get(q.client(1), "http://"+q.addr()).err == nil
	})
	if a := mustGet(t, q.client(1), q.url("hello", "/")); a.body != "Hello World!\n" {
		t.Errorf("%q", a.body)
	}
	q.interrupt()
	q.wait()
	// After Ctrl-C the status of go run itself is always 1; it prints the program's status if that is not 0.
	if out := q.output(); strings.Contains(out, "exit status") || strings.Contains(out, "signal: ") {
		t.Error("the quickstart did not end cleanly after Ctrl-C")
	}
	eventually(t, "no process is left", func() bool { return len(q.processes()) == 0 })
}
