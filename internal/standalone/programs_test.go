package standalone

import (
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// answering is an app that answers every request with answer, after a while; if answer is empty, it fails.
func answering(answer string, after time.Duration) string {
	return `package main

import ("fmt"; "io"; "net/http"; "os"; "os/signal"; "context"; "syscall"; "time")

func main() {
	const answer = "` + answer + `"
	if answer == "" {
		fmt.Fprintln(os.Stderr, "no database")
		os.Exit(7)
	}
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM)
	defer stop()
	s := &http.Server{Addr: "127.0.0.1:" + os.Getenv("PORT"), Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		io.Copy(io.Discard, r.Body)
		time.Sleep(` + fmt.Sprint(after.Nanoseconds()) + `)
		fmt.Fprint(w, answer)
	})}
	go func() { <-ctx.Done(); s.Shutdown(context.Background()) }()
	s.ListenAndServe()
}
`
}

// usual is how long an app of the tests takes for a response.
const usual = 5 * time.Millisecond

// builder builds a program again and again.
type builder struct {
	t            *testing.T
	source, file string
}

func newBuilder(t *testing.T) *builder {
	t.Helper()
	if _, err := exec.LookPath("go"); err != nil {
		t.Skip("there is no go command")
	}
	return &builder{t: t, source: filepath.Join(t.TempDir(), "main.go"), file: filepath.Join(t.TempDir(), "app")}
}

func (b *builder) build(source string) {
	b.t.Helper()
	if err := os.WriteFile(b.source, []byte(source), 0o600); err != nil {
		b.t.Fatal(err)
	}
	if text, err := exec.CommandContext(b.t.Context(), "go", "build", "-o", b.file, b.source).CombinedOutput(); err != nil {
		b.t.Fatalf("%v\n%s", err, text)
	}
}

// command is a manifest of the sample service with another command.
func command(manifest, argv string) string {
	return strings.Replace(manifest, "image: "+helloImage, "command: ["+argv+"]", 1)
}

// load sends requests from several clients, half of them with a body, until the test ends it.
type load struct {
	sent, lost atomic.Int64
	first      atomic.Value // error
	stop       func()
}

func (w *world) load(service string, clients int) *load {
	l := &load{}
	var over atomic.Bool
	var all sync.WaitGroup
	for n := range clients {
		all.Go(func() {
			for !over.Load() {
				var got string
				var err error
				if n%2 == 0 {
					got, err = w.get(service)
				} else {
					got, err = w.send(http.MethodPost, service, strings.Repeat("x", 10_000))
				}
				l.sent.Add(1)
				if err != nil || !strings.HasPrefix(got, "200 ") {
					l.lost.Add(1)
					l.first.CompareAndSwap(nil, fmt.Errorf("%q, %w", got, err))
				}
			}
		})
	}
	l.stop = sync.OnceFunc(func() { over.Store(true); all.Wait() })
	w.t.Cleanup(l.stop)
	return l
}

// A program that is built again while it serves is replaced by the new one, and no request is lost.
func TestProgramIsRebuiltUnderLoad(t *testing.T) {
	t.Parallel()
	b := newBuilder(t)
	b.build(answering("one", usual))
	w := newWorld(t, command(annotated("app", "x", "autoscaling.knative.dev/min-scale: '2'"), b.file)).start()
	w.gets("app", "200 one")
	w.eventually("two replicas", func() bool { return w.ready("app-00001") == 2 })
	l := w.load("app", 8)
	for n, answer := range []string{"two", "three"} {
		b.build(answering(answer, usual))
		built := time.Now()
		w.eventually(answer, func() bool { got, _ := w.get("app"); return got == "200 "+answer })
		first := time.Since(built)
		w.eventually("all replicas are new", func() bool {
			return strings.Count(w.out.String(), "app-00001: all replicas have been replaced") == n+1
		})
		for range 100 {
			w.gets("app", "200 "+answer)
		}
		t.Logf("%s: the first answer %v after the build, all replicas after %v", answer, first, time.Since(built))
	}
	l.stop()
	t.Logf("%d requests, %d lost", l.sent.Load(), l.lost.Load())
	if l.lost.Load() > 0 || l.sent.Load() < 100 {
		t.Errorf("%d of %d requests were lost, the first: %v", l.lost.Load(), l.sent.Load(), l.first.Load())
	}
}

// While the new program fails, the replicas of before serve, and the screen says why; once it is mended there is no back-off.
func TestProgramThatFailsReplacesNothing(t *testing.T) {
	t.Parallel()
	b := newBuilder(t)
	b.build(answering("one", usual))
	w := newWorld(t, command(annotated("app", "x", "autoscaling.knative.dev/min-scale: '1'"), b.file)).start()
	w.gets("app", "200 one")
	l := w.load("app", 2)
	b.build(answering("", usual))
	w.sees(b.file+" has changed: its replicas are replaced", "the new replica isn't ready, so the old ones stay: CrashLoopBackOff: the app ended: exit status 7: no database")
	if err := os.Remove(b.file); err != nil { // as a clean build does
		t.Fatal(err)
	}
	time.Sleep(3 * watchPeriod) // it stays away for some polls
	w.gets("app", "200 one")
	b.build(answering("two", usual))
	w.eventually("the mended one", func() bool { got, _ := w.get("app"); return got == "200 two" })
	l.stop()
	if l.lost.Load() > 0 {
		t.Errorf("%d of %d requests were lost, the first: %v", l.lost.Load(), l.sent.Load(), l.first.Load())
	}
}

// A program that has never worked is tried at once when it has changed: there is nothing to keep.
func TestProgramIsMendedDuringTheBackOff(t *testing.T) {
	t.Parallel()
	b := newBuilder(t)
	b.build(answering("", usual))
	w := newWorld(t, command(annotated("app", "x", "autoscaling.knative.dev/min-scale: '1'"), b.file)).start()
	w.sees("next start in 4s") // it takes a while to fail so often
	b.build(answering("mended", usual))
	w.eventually("the mended one", func() bool { got, _ := w.get("app"); return got == "200 mended" })
}

// What is below the directory of the annotation counts too, but not what tools write there.
func TestWatchedDirectory(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	touch := func(name, text string) {
		t.Helper()
		path := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	touch("pages/index", "one")
	w := newWorld(t, annotated("app", "x", "autoscaling.knative.dev/min-scale: '1', sluice.dev/watch: "+dir)).start()
	w.gets("app", "200 Hello x!\n")
	for _, name := range []string{".git/index", "node_modules/a/index.js", "__pycache__/app.pyc", "pages/.index.swp"} {
		touch(name, "new")
	}
	time.Sleep(4 * watchPeriod) // nothing must happen
	if strings.Contains(w.out.String(), "has changed") {
		t.Error("what tools write restarts the app")
	}
	touch("pages/index", "two")
	w.sees(dir+" has changed: its replicas are replaced", "app-00001: all replicas have been replaced")
	w.gets("app", "200 Hello x!\n")
}

// An annotation of the Service makes no revision, and replicas that run get it.
func TestWatchedDirectoryOfTheService(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	app := annotated("app", "x", "autoscaling.knative.dev/min-scale: '1'")
	w := newWorld(t, app).start()
	w.gets("app", "200 Hello x!\n")
	w.write(strings.Replace(app, "metadata: {name: app}", "metadata: {name: app, annotations: {sluice.dev/watch: "+dir+"}}", 1))
	w.sees("app-00001: its annotations have changed: its replicas are replaced", "app-00001: all replicas have been replaced")
	if err := os.WriteFile(filepath.Join(dir, "page"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	w.sees(dir + " has changed: its replicas are replaced")
	if strings.Contains(w.out.String(), "app-00002") {
		t.Error("it made a revision")
	}
}

// A file counts when it stays as it is: a linker writes for a second.
func TestFileThatIsBeingWrittenIsWaitedFor(t *testing.T) {
	file := filepath.Join(t.TempDir(), "app")
	p := newPrograms(nil)
	poll := func() bool { state, _ := look(file); return p.settled(file, state) }
	write := func(text string) {
		t.Helper()
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	write("1")
	p.watch(idOf(sample), []string{file})
	for n, step := range []struct {
		do   func()
		want bool
	}{
		{func() {}, false},
		{func() { write("22") }, false},
		{func() { write("333") }, false},
		{func() {}, true},
		{func() {}, false},
		{func() { os.Remove(file) }, false},
		{func() {}, false},
		{func() { write("") }, false},
		{func() {}, false},
		{func() { write("4444") }, false},
		{func() {}, true},
	} {
		step.do()
		if got := poll(); got != step.want {
			t.Errorf("step %d: %v", n, got)
		}
	}
	p.forget(idOf(sample))
	write("55555")
	for range 3 {
		if poll() {
			t.Error("it is still watched")
		}
	}
}
