package replica

import (
	"bytes"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

// world is a replica under test and what it has reported.
type world struct {
	t    *testing.T
	mark string // in the environment of all its apps
	spec Spec
	r    *Replica

	mu     sync.Mutex
	events []Event
}

func newWorld(t *testing.T, appDoes string, env ...string) *world {
	t.Helper()
	self, err := Self()
	if err != nil {
		t.Fatal(err)
	}
	ports := NewPorts("127.0.0.1", PortRange{20000, 29999})
	t.Cleanup(ports.Close)
	port, err := ports.Take(1)
	if err != nil {
		t.Fatal(err)
	}
	w := &world{t: t, mark: fmt.Sprintf("mark-%d-%d", os.Getpid(), rand.Uint64())}
	all := append(os.Environ(), "MARK="+w.mark, "APP="+appDoes, "PORT="+strconv.Itoa(port[0]))
	all = append(all, env...)
	w.spec = Spec{
		Name:       "test",
		App:        Command{Path: self, Args: []string{"test-app"}, Env: all},
		QueueProxy: Command{Path: self, Args: []string{"test-proxy"}, Env: all},
		Host:       "127.0.0.1", Port: port[0], DrainLimit: 10 * time.Second, Grace: 500 * time.Millisecond,
	}
	return w
}

func (w *world) start() {
	w.t.Helper()
	r, err := Start(Config{Spec: w.spec, Notify: w.add, Stderr: os.Stderr})
	if err != nil {
		w.t.Fatal(err)
	}
	w.r = r
	w.t.Cleanup(func() {
		r.Kill()
		<-r.Done()
		w.gone()
	})
}

func (w *world) add(e Event) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.events = append(w.events, e)
}

// all are the events so far.
func (w *world) all() []Event {
	w.mu.Lock()
	defer w.mu.Unlock()
	return slices.Clone(w.events)
}

// await waits for the nth event (from 1) that match accepts.
func (w *world) await(n int, what string, match func(Event) bool) Event {
	w.t.Helper()
	var found Event
	w.eventually(what, func() bool {
		seen := 0
		for _, e := range w.all() {
			if match(e) {
				if seen++; seen == n {
					found = e
					return true
				}
			}
		}
		return false
	})
	return found
}

func (w *world) eventually(what string, cond func() bool) {
	w.t.Helper()
	for end := time.Now().Add(time.Minute); !cond(); time.Sleep(2 * time.Millisecond) {
		if time.Now().After(end) {
			w.t.Fatalf("not within a minute: %s; events: %+v", what, w.all())
		}
	}
}

func line(p Process, text string) func(Event) bool {
	return func(e Event) bool { return e.Kind == Line && e.Process == p && strings.HasPrefix(e.Text, text) }
}

func kind(k Kind, p Process) func(Event) bool {
	return func(e Event) bool { return e.Kind == k && e.Process == p }
}

// marked finds the processes, besides the supervisor, that carry the mark in their environment.
func (w *world) marked() (pids []int) {
	if runtime.GOOS != "linux" {
		w.t.Skip("needs /proc")
	}
	names, _ := filepath.Glob("/proc/[0-9]*/environ")
	for _, name := range names {
		env, err := os.ReadFile(name)
		if err == nil && bytes.Contains(env, []byte("MARK="+w.mark)) {
			pid, _ := strconv.Atoi(filepath.Base(filepath.Dir(name)))
			pids = append(pids, pid)
		}
	}
	return pids
}

func (w *world) gone() {
	w.t.Helper()
	w.eventually("no process is left", func() bool { return len(w.marked()) == 0 })
}

func TestStopIsInTheOrderOfAPod(t *testing.T) {
	t.Parallel()
	w := newWorld(t, "listen", "PROXY_DRAIN=300ms")
	w.spec.Grace = 10 * time.Second // the race detector has a process sleep for a second before it exits
	w.start()
	w.await(1, "the app runs", line(App, "app runs"))
	w.await(1, "the queue-proxy runs", line(QueueProxy, "proxy runs"))
	w.r.Stop()
	<-w.r.Done()
	var order []string
	for _, e := range w.all() {
		if (e.Kind == Line || e.Kind == Exited) && !strings.Contains(e.Text, " runs") {
			order = append(order, fmt.Sprint(e.Process, ": ", e.Text, e.Status))
		}
	}
	want := []string{
		"queue-proxy: draining", "queue-proxy: drained", "queue-proxy: exit status 0",
		"app: app ends", "app: exit status 0",
	}
	if !slices.Equal(order, want) {
		t.Errorf("got  %q\nwant %q", order, want)
	}
}

func TestStubbornAppIsKilledAfterItsGrace(t *testing.T) {
	t.Parallel()
	w := newWorld(t, "stubborn setsid fork")
	w.start()
	w.await(3, "three apps run", line(App, "app runs"))
	began := time.Now()
	w.r.Stop()
	<-w.r.Done()
	if d := time.Since(began); d < w.spec.Grace || d > w.spec.Grace+3*time.Second {
		t.Errorf("ended after %v", d)
	}
	if left := w.marked(); len(left) > 0 {
		t.Errorf("left: %v", left)
	}
	if e := w.await(1, "exit", kind(Exited, App)); e.Status != "signal: killed" {
		t.Errorf("%+v", e)
	}
}

func TestCrashedAppIsRestartedWithBackOff(t *testing.T) {
	t.Parallel()
	w := newWorld(t, "setsid crash")
	w.start()
	for i, pause := range []time.Duration{firstRestart, nextRestart, 2 * nextRestart} {
		e := w.await(i+1, "exit", kind(Exited, App))
		if e.Status != "exit status 7" || e.Text != "cannot open the database" || e.RestartIn != pause || e.Restarts != i+1 {
			t.Errorf("%+v", e)
		}
	}
	if n := len(w.marked()); n > 2 { // the queue-proxy, and an app that may be starting
		t.Errorf("%d processes: what the app had started should be gone with it", n)
	}
}

func TestLargeEnvironmentCrossesThePipe(t *testing.T) {
	t.Parallel()
	var env []string
	for i := range 20 {
		env = append(env, fmt.Sprintf("LARGE_%d=%s", i, strings.Repeat("x", 10_000)))
	}
	w := newWorld(t, "listen", env...)
	w.start()
	w.await(1, "the app runs", line(App, "app runs"))
}

func TestAppThatCannotBeStarted(t *testing.T) {
	w := newWorld(t, "")
	w.spec.App.Path = "/no/such/app"
	w.start()
	e := w.await(2, "failure", kind(Failed, App))
	if !strings.Contains(e.Text, "/no/such/app") || e.RestartIn != nextRestart {
		t.Errorf("%+v", e)
	}
}

func TestReplicaEndsWithItsQueueProxy(t *testing.T) {
	t.Parallel()
	w := newWorld(t, "listen", "PROXY_EXIT=1")
	w.start()
	<-w.r.Done()
	if e := w.await(1, "exit", kind(Exited, QueueProxy)); e.Status != "exit status 3" {
		t.Errorf("%+v", e)
	}
	w.await(1, "the app ended", kind(Exited, App))
}

func TestAppThatIgnoresPort(t *testing.T) {
	t.Parallel()
	if runtime.GOOS != "linux" {
		t.Skip("needs /proc")
	}
	w := newWorld(t, "stray")
	w.start()
	e := w.await(1, "strayed", kind(Strayed, App))
	if len(e.Ports) != 1 || e.Ports[0] == w.spec.Port {
		t.Errorf("%+v", e)
	}
}

func TestSilentAppIsNoted(t *testing.T) {
	t.Parallel()
	w := newWorld(t, "")
	w.start()
	e := w.await(1, "silent", kind(Silent, App))
	if since := e.Time.Sub(w.await(1, "start", kind(Started, App)).Time); since < silentFrom || since > silentFrom+3*time.Second {
		t.Errorf("after %v", since)
	}
}

func TestPortOfAStranger(t *testing.T) {
	w := newWorld(t, "listen")
	l, err := net.Listen("tcp", "127.0.0.1:"+strconv.Itoa(w.spec.Port))
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	w.start()
	w.await(1, "taken", kind(Taken, App))
}

// The supervisor used to listen on the port of an app that had ended, to see whether that was free: a probe at that moment found
// the app ready.
func TestNothingListensInsteadOfAnAppThatHasEnded(t *testing.T) {
	w := newWorld(t, "")
	s := &supervisor{spec: w.spec}
	over, accepted := make(chan struct{}), make(chan int)
	go func() {
		n := 0
		defer func() { accepted <- n }()
		for {
			select {
			case <-over:
				return
			default:
			}
			if c, err := net.Dial("tcp", net.JoinHostPort(w.spec.Host, strconv.Itoa(w.spec.Port))); err == nil {
				c.Close()
				n++
			}
		}
	}()
	taken := 0
	for range 2000 {
		if s.portTaken() {
			taken++
		}
	}
	close(over)
	if n := <-accepted; n > 0 || taken > 0 {
		t.Errorf("%d connections; the port was found taken %d times", n, taken)
	}
}

func TestKilledSupervisorLeavesNothingInItsGroups(t *testing.T) {
	w := newWorld(t, "stubborn fork")
	w.start()
	w.await(2, "two apps run", line(App, "app runs"))
	if err := syscall.Kill(w.r.PID(), syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	<-w.r.Done()
	w.gone()
}

// What a process leaves is removed after each of its ends: a crash, SIGKILL, and that of the supervisor.
func TestAfterEachEndOfAProcess(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		does string
		end  func(*world)
		ends int
	}{
		{"crash", func(w *world) { w.await(2, "exit", kind(Exited, App)); w.r.Kill() }, 2},
		{"stubborn", func(w *world) { w.r.Stop() }, 1},
		{"stubborn", func(w *world) { w.r.Kill() }, 1},
		{"stubborn", func(w *world) { _ = syscall.Kill(w.r.PID(), syscall.SIGKILL) }, 1},
	} {
		w := newWorld(t, c.does)
		file := filepath.Join(t.TempDir(), "after")
		w.spec.App.After = []string{"sh", "-c", "echo $MARK >> " + file}
		w.start()
		w.await(1, "the app starts", kind(Started, App))
		c.end(w)
		<-w.r.Done()
		text, err := os.ReadFile(file)
		if n := strings.Count(string(text), w.mark); err != nil || n < c.ends {
			t.Errorf("%s: %d times after %d ends, %v", c.does, n, c.ends, err)
		}
	}
}

// However the quickstart dies, nothing of it is left, not even what tried to get away.
func TestNothingIsLeftWhenTheQuickstartIsKilled(t *testing.T) {
	t.Parallel()
	for _, does := range []string{"listen", "stubborn fork", "stubborn setsid", "stubborn orphan", "fork setsid orphan"} {
		t.Run(does, func(t *testing.T) {
			w := newWorld(t, does)
			self, _ := Self()
			spec, _ := json.Marshal(w.spec)
			out, in, err := os.Pipe()
			if err != nil {
				t.Fatal(err)
			}
			defer out.Close()
			quickstart := &exec.Cmd{Path: self, Args: []string{"test-quickstart"}, Stdin: bytes.NewReader(spec), Stdout: in}
			if err := quickstart.Start(); err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() { _ = quickstart.Process.Kill() })
			in.Close()
			done := make(chan struct{})
			go func() {
				defer close(done)
				for dec := json.NewDecoder(out); ; {
					var e Event
					if dec.Decode(&e) != nil {
						return
					}
					w.add(e)
				}
			}()
			apps := 1 + strings.Count(does, "fork") + strings.Count(does, "setsid") + strings.Count(does, "orphan")
			w.await(apps, "the apps run", line(App, "app runs"))
			if err := quickstart.Process.Kill(); err != nil {
				t.Fatal(err)
			}
			killed := time.Now()
			w.gone()
			t.Logf("gone after %v", time.Since(killed))
			_ = quickstart.Wait()
			<-done
		})
	}
}
