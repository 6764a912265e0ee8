package standalone

import (
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/sluice-proxy/sluice/internal/limits"
	"github.com/sluice-proxy/sluice/internal/outputs"
	"github.com/sluice-proxy/sluice/internal/standalone/autoscaler"
	"github.com/sluice-proxy/sluice/internal/standalone/hello"
	"github.com/sluice-proxy/sluice/internal/standalone/screen"
	"github.com/sluice-proxy/sluice/throttler"
)

// world is a running Server with one manifest file.
type world struct {
	t      *testing.T
	file   string
	config Config
	server *Server // once started
	out    *outputs.Buffer
	client *http.Client
	done   chan error
	cancel context.CancelFunc
}

// newWorld prepares one that goes to zero a second or two after its last request.
func newWorld(t *testing.T, manifest string) *world {
	t.Helper()
	w := &world{t: t, file: filepath.Join(t.TempDir(), "s.yaml"), out: &outputs.Buffer{}, done: make(chan error, 1)}
	w.write(manifest)
	scaling := autoscaler.Standard()
	scaling.StableWindow, scaling.ScaleToZeroGracePeriod, scaling.TickInterval = time.Second, 0, 100*time.Millisecond
	w.config = Config{
		Files: []string{w.file}, Scaling: &scaling,
		Screen: screen.New(screen.Config{Out: w.out}),
	}
	t.Cleanup(func() { w.config.Screen.Close(time.Minute) })
	w.client = &http.Client{Timeout: time.Minute, Transport: &http.Transport{MaxIdleConnsPerHost: 100}}
	return w
}

func (w *world) write(manifest string) {
	w.t.Helper()
	if err := os.WriteFile(w.file, []byte(manifest), 0o600); err != nil {
		w.t.Fatal(err)
	}
}

func (w *world) start() *world {
	w.t.Helper()
	s, err := New(w.config)
	if err != nil {
		w.t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(w.t.Context())
	w.server, w.cancel = s, cancel
	go func() { w.done <- s.Run(ctx) }()
	w.t.Cleanup(w.end)
	return w
}

func (w *world) end() {
	w.cancel()
	if err := <-w.done; err != nil {
		w.t.Error(err)
	}
	w.done <- nil // for a second call
	w.client.CloseIdleConnections()
	if w.t.Failed() {
		w.t.Logf("output:\n%s", w.out)
	}
}

// get asks a service, TAG-SERVICE or revision, and returns status and body.
func (w *world) get(name string) (string, error) { return w.send(http.MethodGet, name, "") }

// send sends a request with a body.
func (w *world) send(method, name, body string) (string, error) {
	req, err := http.NewRequest(method, "http://"+w.server.config.addr()+"/", strings.NewReader(body))
	if err != nil {
		return "", err
	}
	req.Host = name + ".default." + w.server.config.domain()
	resp, err := w.client.Do(req)
	if err != nil {
		return "", err
	}
	defer resp.Body.Close()
	got, err := io.ReadAll(resp.Body)
	return fmt.Sprintf("%d %s", resp.StatusCode, got), err
}

func (w *world) gets(name, want string) {
	w.t.Helper()
	if got, err := w.get(name); err != nil || got != want {
		w.t.Errorf("%s: %q, %v; want %q", name, got, err, want)
	}
}

func (w *world) eventually(what string, cond func() bool) {
	w.t.Helper()
	for end := time.Now().Add(time.Minute); !cond(); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(end) {
			w.t.Fatalf("never: %s; output:\n%s", what, w.out)
		}
	}
}

func (w *world) sees(texts ...string) {
	w.t.Helper()
	for _, text := range texts {
		w.eventually(text, func() bool { return strings.Contains(w.out.String(), text) })
	}
}

// service is a manifest of the built-in sample.
func service(name, revision, target, more string) string {
	s := "---\napiVersion: serving.knative.dev/v1\nkind: Service\nmetadata: {name: " + name + "}\nspec:\n  template:\n"
	if revision != "" {
		s += "    metadata: {name: " + revision + "}\n"
	}
	return s + "    spec:\n      containers:\n      - image: ghcr.io/knative/helloworld-go:latest\n        env: [{name: TARGET, value: " + target + "}]\n" + more
}

func annotated(name, target, annotation string) string {
	return strings.Replace(service(name, "", target, ""), "  template:\n", "  template:\n    metadata: {annotations: {"+annotation+"}}\n", 1)
}

func TestFromZeroAndBack(t *testing.T) {
	t.Parallel()
	w := newWorld(t, service("hello", "", "World", "")).start()
	w.sees("service hello: ready, latest hello-00001, replicas 0/0")
	for range 2 {
		before := strings.Count(w.out.String(), "replicas 0/0")
		w.gets("hello", "200 Hello World!\n")
		w.eventually("zero again", func() bool { return strings.Count(w.out.String(), "replicas 0/0") > before })
	}
	if n := strings.Count(w.out.String(), "cold start of hello-00001: queued → process started"); n != 2 {
		t.Errorf("%d cold starts", n)
	}
}

// A request that comes just after the last replica was let go is no first one, and still needs no tick: it used to wait
// for the activator's next report.
func TestRequestAfterTheLastReplicaStartsOneAtOnce(t *testing.T) {
	t.Parallel()
	w := newWorld(t, service("hello", "", "World", "")).start()
	w.gets("hello", "200 Hello World!\n")
	s, id := w.server, throttler.RevisionID{Namespace: "default", Name: "hello-00001"}
	started := make(chan bool)
	s.post(func() {
		r := s.revisions[id]
		r.desired = 0
		s.converge(r)
		s.inbox.take() // whatever has been reported
		s.inbox.hold(id)
		s.readInbox()
		started <- r.desired == 1 && len(r.active()) == 1
	})
	if !<-started {
		t.Error("no replica was started")
	}
	w.gets("hello", "200 Hello World!\n")
}

func TestChangedManifestMovesTraffic(t *testing.T) {
	t.Parallel()
	w := newWorld(t, service("hello", "hello-world", "World", "")).start()
	w.gets("hello", "200 Hello World!\n")
	w.write(service("hello", "hello-world", "World", "      volums: []\n"))
	w.sees("nothing applied: " + w.file + ":12: field spec.template.spec.volums: no such field; the nearest is volumes")
	w.gets("hello", "200 Hello World!\n")
	w.write(service("hello", "hello-world", "Else", ""))
	w.sees("revision hello-world exists with a different spec")
	w.write(service("hello", "hello-knative", "Knative", "  traffic: [{latestRevision: true, percent: 100}, {revisionName: hello-world, percent: 0, tag: old}]\n"))
	w.sees("manifests applied")
	w.gets("hello", "200 Hello Knative!\n")
	w.gets("old-hello", "200 Hello World!\n")
	w.gets("hello-world", "200 Hello World!\n")
}

func TestRemovedServiceIsGone(t *testing.T) {
	t.Parallel()
	w := newWorld(t, service("hello", "", "World", "")+service("other", "", "Other", "")).start()
	w.gets("other", "200 Hello Other!\n")
	w.write(service("hello", "", "World", ""))
	w.sees("service other: gone")
	if got, err := w.get("other"); err != nil || !strings.HasPrefix(got, "404 ") || !strings.Contains(got, "hello.default.localhost") {
		t.Errorf("%q, %v", got, err)
	}
	w.write(service("hello", "", "World", "") + service("other", "", "Again", ""))
	w.eventually("the service is back", func() bool { got, _ := w.get("other"); return got == "200 Hello Again!\n" })
}

// A revision that is to begin with replicas gets traffic when it is ready, not before; a broken one never does.
func TestOldRevisionServesUntilTheNewOneIsReady(t *testing.T) {
	t.Parallel()
	w := newWorld(t, annotated("hello", "World", "autoscaling.knative.dev/min-scale: '1'")).start()
	w.gets("hello", "200 Hello World!\n")
	broken := annotated("hello", "Broken", "autoscaling.knative.dev/min-scale: '1'")
	broken = strings.Replace(broken, "image: ghcr.io/knative/helloworld-go:latest", "command: [sh, -c, 'echo no database >&2; exit 7']", 1)
	w.write(broken)
	w.sees("CrashLoopBackOff: the app ended: exit status 7: no database", "service hello: not ready, latest hello-00002")
	w.gets("hello", "200 Hello World!\n")
	w.write(annotated("hello", "Mended", "autoscaling.knative.dev/min-scale: '1'"))
	w.eventually("the mended one serves", func() bool { got, _ := w.get("hello"); return got == "200 Hello Mended!\n" })
}

func TestBurstScalesOutAndIsCapped(t *testing.T) {
	t.Parallel()
	manifest := strings.Replace(service("slow", "", "x", ""), "    spec:\n", "    spec:\n      containerConcurrency: 1\n", 1)
	w := newWorld(t, manifest)
	w.config.MaxReplicas = 3
	w.start()
	var (
		wg   sync.WaitGroup
		over atomic.Bool
	)
	defer wg.Wait()
	defer over.Store(true)
	for range 60 {
		wg.Go(func() {
			for !over.Load() {
				w.gets("slow", "200 Hello x!\n")
			}
		})
	}
	w.sees("the autoscaler wants", "-max-replicas 3 is the most for service slow")
	if strings.Contains(w.out.String(), "replicas 4/") {
		t.Error("more replicas than allowed")
	}
}

// A new revision gets its first replica though the old one has all that -max-replicas allows.
func TestMaxReplicasLeavesRoomForANewRevision(t *testing.T) {
	t.Parallel()
	w := newWorld(t, annotated("hello", "Old", "autoscaling.knative.dev/min-scale: '2'"))
	w.config.MaxReplicas = 2
	w.start()
	w.sees("replicas 2/2")
	w.write(annotated("hello", "New", "autoscaling.knative.dev/min-scale: '2'"))
	w.eventually("the new one serves", func() bool { got, _ := w.get("hello"); return got == "200 Hello New!\n" })
}

// An initial scale beyond -max-replicas can't be reached, and must not hold for ever.
func TestInitialScaleBeyondMaxReplicasEnds(t *testing.T) {
	t.Parallel()
	w := newWorld(t, annotated("hello", "World", "autoscaling.knative.dev/initial-scale: '3'"))
	w.config.MaxReplicas = 1
	w.start()
	w.sees("replicas 1/")
	w.sees("ready, latest hello-00001, replicas 0/0")
}

func TestReplicaIsReplacedWhenItsQueueProxyDies(t *testing.T) {
	t.Parallel()
	w := newWorld(t, annotated("hello", "World", "autoscaling.knative.dev/min-scale: '1'")).start()
	s := w.server
	w.gets("hello", "200 Hello World!\n")
	pid := make(chan int)
	s.post(func() {
		for p := range s.pods {
			pid <- p.replica.PID()
		}
	})
	supervisor, err := os.FindProcess(<-pid)
	if err != nil {
		t.Fatal(err)
	}
	if err := supervisor.Kill(); err != nil { // and with it its group, where the queue-proxy is
		t.Fatal(err)
	}
	w.sees("hello-00001: a replica failed: its supervisor ended; the next one in")
	w.eventually("another one serves", func() bool { got, _ := w.get("hello"); return got == "200 Hello World!\n" })
}

func TestEndsWithRequestsInFlight(t *testing.T) {
	t.Parallel()
	never := strings.Replace(service("never", "", "x", ""), "image: ghcr.io/knative/helloworld-go:latest", "command: [sleep, '1000']", 1)
	w := newWorld(t, never).start()
	waiting := make(chan error, 1)
	go func() { _, err := w.get("never"); waiting <- err }()
	w.sees("service never: not ready")
	began := time.Now()
	w.end()
	<-waiting
	if d := time.Since(began); d > 15*time.Second {
		t.Errorf("ended after %v", d)
	}
}

func TestNewRefuses(t *testing.T) {
	t.Parallel()
	w := newWorld(t, service("hello", "", "World", ""))
	busy, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer busy.Close()
	w.config.Port = busy.Addr().(*net.TCPAddr).Port
	if _, err := New(w.config); err == nil || !strings.Contains(err.Error(), "-port") || strings.Contains(err.Error(), "\n") {
		t.Errorf("port in use: %v", err)
	}
	for _, c := range []struct {
		change func(*Config)
		want   string
	}{
		{func(c *Config) { c.Files = nil }, "-f"},
		{func(c *Config) { c.Files = []string{"/no/such/file.yaml"} }, "/no/such/file.yaml"},
		{func(c *Config) { c.Host = "localhost" }, "-listen"},
		{func(c *Config) { c.Port = 70000 }, "-port"},
		{func(c *Config) { c.Port = -1 }, "-port"},
		{func(c *Config) { c.MaxReplicas = -1 }, "-max-replicas"},
		{func(c *Config) { c.Limits = &limits.Limits{EventBytes: 1 << 30} }, "-max-event-bytes: broker: MaxEventBytes should be at most 67108864"},
		{func(c *Config) { c.Scaling = &autoscaler.Defaults{} }, "-stable-window"},
	} {
		config := w.config
		c.change(&config)
		if _, err := New(config); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v", c.want, err)
		}
	}
}

// A request that waits for a replica that can't start fails with the reason on the screen. Clients used to hang until their own
// timeout.
func TestQ9WhoWaitsIsTold(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct{ command, want string }{
		"crash loop":      {"[sh, -c, 'echo no database >&2; exit 7']", "CrashLoopBackOff: the app ended: exit status 7: no database; next start in "},
		"missing program": {"[$D/gone]", "the app can't be started: "},
		"wrong port":      {"[sh, -c, 'PATH=$D:$PATH; PORT=0 exec " + hello.Name + "']", "and not on $PORT, which is "},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			self, err := os.Executable()
			if err != nil {
				t.Fatal(err)
			}
			dir := t.TempDir()
			if err := os.Symlink(self, filepath.Join(dir, hello.Name)); err != nil {
				t.Fatal(err)
			}
			program := filepath.Join(dir, "gone")
			if err := os.WriteFile(program, []byte("#!/bin/sh\n"), 0o700); err != nil {
				t.Fatal(err)
			}
			m := strings.Replace(service("broken", "", "x", ""), "image: ghcr.io/knative/helloworld-go:latest", "command: "+strings.Replace(c.command, "$D/gone", program, 1), 1)
			w := newWorld(t, strings.Replace(m, "env: [", "env: [{name: D, value: "+dir+"}, ", 1))
			w.client.Timeout = 5 * time.Minute
			w.start()
			if err := os.Remove(program); err != nil {
				t.Fatal(err)
			}
			got, err := w.get("broken")
			if err != nil || !strings.HasPrefix(got, "503 broken-00001: ") || !strings.Contains(got, c.want) {
				t.Errorf("%q, %v", got, err)
			}
			w.write(service("broken", "", "mended", ""))
			w.eventually("the mended one serves", func() bool { got, _ := w.get("broken"); return got == "200 Hello mended!\n" })
		})
	}
}

// A workingDir that isn't there used to be reported as a missing program.
func TestQ9MissingWorkingDirIsSaidAtLoad(t *testing.T) {
	t.Parallel()
	here, err := os.Getwd()
	if err != nil {
		t.Fatal(err)
	}
	for dir, want := range map[string]string{
		"/no/such/dir": "its workingDir, /no/such/dir, is no directory",
		"nosuchdir":    "its workingDir, nosuchdir, is no directory below " + here + ", where the quickstart was started",
	} {
		w := newWorld(t, strings.Replace(service("app", "", "x", "        workingDir: "+dir+"\n"), "image: ghcr.io/knative/helloworld-go:latest", "command: [sh]", 1))
		if _, err := New(w.config); err == nil || !strings.HasSuffix(err.Error(), want) {
			t.Errorf("%s: %v", dir, err)
		}
	}
}

// A program that isn't there is an error of the manifest's, and changes nothing.
func TestQ9MissingProgramIsSaidAtLoad(t *testing.T) {
	t.Parallel()
	with := func(command, more string) string {
		return strings.Replace(service("app", "", "x", more), "image: ghcr.io/knative/helloworld-go:latest", "command: ["+command+"]", 1)
	}
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "data"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	for command, want := range map[string]string{
		"/no/such/program":             "the program /no/such/program can't be run: no such file or directory",
		"no-such-program":              "the program no-such-program can't be run: executable file not found in $PATH",
		"./data":                       "/data can't be run: permission denied",
		"./no-such-program, '$(PORT)'": "/no-such-program can't be run: no such file or directory",
		dir:                            "can't be run: is a directory",
	} {
		w := newWorld(t, with(command, "        workingDir: "+dir+"\n"))
		_, err := New(w.config)
		if err == nil || !strings.Contains(err.Error(), "field spec.template.spec.containers[0].command: the program ") || !strings.HasSuffix(err.Error(), want) {
			t.Errorf("%s: %v", command, err)
		}
	}
	w := newWorld(t, service("app", "", "World", "")).start()
	w.write(with("no-such-program", ""))
	w.sees("nothing applied: " + w.file + ":")
	w.gets("app", "200 Hello World!\n")
}

// With -port 0 it was 8080, and with -listen ::1 the URLs led to 127.0.0.1.
func TestQ8ListensWhereItSays(t *testing.T) {
	t.Parallel()
	for host, name := range map[string]string{"127.0.0.1": "localhost", "::1": "localhost", "127.0.0.9": "127.0.0.9.sslip.io"} {
		t.Run(host, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t, service("hello", "", "World", ""))
			w.config.Host = host
			if l, err := net.Listen("tcp", net.JoinHostPort(host, "0")); err != nil {
				t.Skipf("this machine has no address %s", host)
			} else {
				l.Close()
			}
			w.start()
			port := strconv.Itoa(w.server.config.Port)
			w.sees("sluice: listening on http://"+net.JoinHostPort(host, port), "http://hello.default."+name+":"+port)
			w.gets("hello", "200 Hello World!\n")
		})
	}
}

// Traffic used to move to a new revision at its first ready replica, though it was to begin with three: their load fell
// on one.
func TestQ4TrafficMovesWhenAllReplicasAreReady(t *testing.T) {
	t.Parallel()
	for _, scale := range []string{"initial-scale", "min-scale"} {
		t.Run(scale, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t, service("hello", "", "Old", "")).start()
			w.gets("hello", "200 Hello Old!\n")
			self, err := os.Executable()
			if err != nil {
				t.Fatal(err)
			}
			dir := t.TempDir()
			if err := os.Symlink(self, filepath.Join(dir, hello.Name)); err != nil {
				t.Fatal(err)
			}
			app := "for i in 1 2 3; do mkdir $D/claimed-$i && break; done; until [ -e $D/go-$i ]; do sleep 0.05; done; PATH=$D:$PATH; exec " + hello.Name
			next := annotated("hello", "New", "autoscaling.knative.dev/"+scale+": '3'")
			next = strings.Replace(next, "image: ghcr.io/knative/helloworld-go:latest", "command: [sh, -c, '"+app+"']", 1)
			w.write(strings.Replace(next, "env: [", "env: [{name: D, value: "+dir+"}, ", 1))
			w.sees("latest hello-00002")
			for ready := range 3 {
				w.eventually(fmt.Sprintf("%d of 3 are ready", ready), func() bool { return w.ready("hello-00002") == ready })
				w.gets("hello", "200 Hello Old!\n")
				if err := os.WriteFile(filepath.Join(dir, fmt.Sprintf("go-%d", ready+1)), nil, 0o600); err != nil {
					t.Fatal(err)
				}
			}
			w.eventually("the new one serves", func() bool { got, _ := w.get("hello"); return got == "200 Hello New!\n" })
		})
	}
}

// ready is how many replicas of a revision are.
func (w *world) ready(revision string) int {
	n := make(chan int, 1)
	w.server.post(func() {
		if r := w.server.revisions[throttler.RevisionID{Namespace: "default", Name: revision}]; r != nil {
			n <- r.readyPods()
			return
		}
		n <- -1
	})
	return <-n
}
