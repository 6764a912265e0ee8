package e2e

import (
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"
)

// quickstart is a running cmd/quickstart with its own directory.
type quickstart struct {
	t        testing.TB
	dir      string // has the executables and the apps' notes
	manifest string // the file of -f, or empty
	port     int
	ended    bool // the test has ended it: no clean Ctrl-C is expected
	*daemon
}

// fast has flags for short windows: a service is scaled to zero about seven seconds after its last request.
var fast = []string{"-stable-window", "6s", "-scale-to-zero-grace-period", "1s"}

// newQuickstart prepares a quickstart and ends it with the test; start starts it.
func newQuickstart(t testing.TB) *quickstart {
	t.Helper()
	q := &quickstart{t: t, dir: t.TempDir(), port: freePort(t)}
	q.dir, _ = filepath.EvalSymlinks(q.dir)
	link(t, q.dir, "app")
	return q
}

// serve starts a quickstart with fast windows for services and waits until it listens.
func serve(t testing.TB, services ...service) *quickstart {
	t.Helper()
	q := newQuickstart(t)
	q.write(services...)
	q.start(fast...)
	return q
}

// write puts services into the manifest file.
func (q *quickstart) write(services ...service) {
	q.t.Helper()
	var b strings.Builder
	for _, s := range services {
		b.WriteString(s.yaml(q.dir))
	}
	q.writeText(b.String())
}

func (q *quickstart) writeText(manifest string) {
	q.t.Helper()
	q.manifest = filepath.Join(q.dir, "service.yaml")
	if err := os.WriteFile(q.manifest+".new", []byte(manifest), 0o600); err != nil {
		q.t.Fatal(err)
	}
	if err := os.Rename(q.manifest+".new", q.manifest); err != nil {
		q.t.Fatal(err)
	}
}

// start starts the process and waits until it answers on its port.
func (q *quickstart) start(flags ...string) {
	q.t.Helper()
	q.launch(exec.Command(link(q.t, q.dir, "quickstart"), q.args(flags...)...))
	q.waitListening()
}

func (q *quickstart) args(flags ...string) []string {
	args := []string{"-port", strconv.Itoa(q.port)}
	if q.manifest != "" {
		args = append(args, "-f", q.manifest)
	}
	return append(args, flags...)
}

// launch starts cmd as the quickstart's process.
func (q *quickstart) launch(cmd *exec.Cmd) {
	q.t.Helper()
	cmd.Env = append(cmd.Environ(), "XDG_STATE_HOME="+q.dir)
	q.daemon = launch(q.t, filepath.Join(q.dir, "log"), cmd)
	q.t.Cleanup(q.end)
}

func (q *quickstart) waitListening() {
	q.t.Helper()
	q.eventually("the quickstart listens", func() bool {
		if !q.running() {
			q.t.Fatalf("the quickstart ended: %v", q.cmd.ProcessState)
		}
		c, err := net.Dial("tcp", q.addr())
		if err != nil {
			return false
		}
		_ = c.Close()
		return true
	})
}

func (q *quickstart) addr() string { return "127.0.0.1:" + strconv.Itoa(q.port) }

// host returns the Host of a service, of TAG-SERVICE, or of a revision.
func (q *quickstart) host(name string) string {
	return fmt.Sprintf("%s.default.127.0.0.1.sslip.io:%d", name, q.port)
}

func (q *quickstart) url(name, path string) string { return "http://" + q.host(name) + path }

// wait waits until the quickstart has ended by itself.
func (q *quickstart) wait() *os.ProcessState {
	q.t.Helper()
	q.ended = true
	return q.daemon.wait()
}

// interrupt presses Ctrl-C: a terminal signals the whole foreground group.
func (q *quickstart) interrupt() { _ = syscall.Kill(-q.pid(), syscall.SIGINT) }

// end presses Ctrl-C unless the test has ended the quickstart already, and checks that no process is left.
func (q *quickstart) end() {
	q.t.Helper()
	if !q.ended {
		q.interrupt()
		select {
		case <-q.exited:
			if code := q.cmd.ProcessState.ExitCode(); code != 0 {
				q.t.Errorf("exit code %d after Ctrl-C: %v", code, q.cmd.ProcessState)
			}
		case <-time.After(patience):
			q.t.Errorf("the quickstart still runs %v after Ctrl-C", patience)
		}
		if left := q.processes(); len(left) > 0 {
			q.t.Errorf("left after Ctrl-C: %v", left)
		}
	}
	q.kill()
	for _, p := range q.processes() {
		_ = syscall.Kill(p.pid, syscall.SIGKILL)
	}
	if q.t.Failed() {
		q.t.Logf("output of the quickstart:\n%s", tail(q.output(), 20000))
	}
}

func tail(s string, n int) string {
	if len(s) > n {
		return "…" + s[len(s)-n:]
	}
	return s
}

// patience is how long a test waits for an event that must come. It is long since machines may be slow; it tests no speed.
const patience = 2 * time.Minute

// eventually polls cond until it holds.
func (q *quickstart) eventually(what string, cond func() bool) {
	q.t.Helper()
	eventually(q.t, what, cond)
}

func eventually(t testing.TB, what string, cond func() bool) {
	t.Helper()
	for deadline := time.Now().Add(patience); !cond(); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("not within %v: %s", patience, what)
		}
	}
}

// sees waits until the output contains all texts.
func (q *quickstart) sees(texts ...string) {
	q.t.Helper()
	q.eventually(fmt.Sprintf("the output holds %q", texts), func() bool {
		out := q.output()
		return !slices.ContainsFunc(texts, func(s string) bool { return !strings.Contains(out, s) })
	})
}

var nextPort atomic.Int32

// freePort finds a port outside of the range of ephemeral ports, so that no outgoing connection takes it meanwhile.
func freePort(t testing.TB) int {
	t.Helper()
	nextPort.CompareAndSwap(0, int32(10000+os.Getpid()%5000))
	for range 1000 {
		port := int(nextPort.Add(1))
		l, err := net.Listen("tcp", "127.0.0.1:"+strconv.Itoa(port))
		if errors.Is(err, syscall.EADDRINUSE) {
			continue
		}
		if err != nil {
			t.Fatal(err)
		}
		_ = l.Close()
		return port
	}
	t.Fatal("no free port")
	return 0
}
