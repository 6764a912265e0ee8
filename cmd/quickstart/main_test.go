package main

import (
	"bytes"
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/sluice-proxy/sluice/examples"
	"github.com/sluice-proxy/sluice/internal/orphans"
	"github.com/sluice-proxy/sluice/internal/outputs"
	"github.com/sluice-proxy/sluice/internal/standalone/replica"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// build makes the real binary, and takes a port for it.
func build(t *testing.T) (binary string, port int) {
	t.Helper()
	binary = filepath.Join(t.TempDir(), "quickstart")
	if text, err := exec.Command("go", "build", "-o", binary, ".").CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, text)
	}
	claim := replica.NewPorts("127.0.0.1", replica.PortRange{Low: 15000, High: 19999})
	t.Cleanup(claim.Close)
	ports, err := claim.Take(1)
	if err != nil {
		t.Fatal(err)
	}
	return binary, ports[0]
}

// The real binary, as a newcomer runs it, where there are no files: from zero, and back, and away.
func TestHelloWorldFromZeroAndBack(t *testing.T) {
	binary, port := build(t)
	var out outputs.Buffer
	cmd := exec.Command(binary, "-port", fmt.Sprint(port), "-stable-window", "1s", "-scale-to-zero-grace-period", "0s", "-tick-interval", "200ms")
	cmd.Dir, cmd.Stdout, cmd.Stderr = t.TempDir(), &out, &out
	cmd.Env = append(cmd.Environ(), "XDG_STATE_HOME="+cmd.Dir)
	if err := orphans.StartFor(t, cmd); err != nil {
		t.Fatal(err)
	}
	defer func() { _ = cmd.Process.Kill() }()
	sees := func(text string) {
		t.Helper()
		for end := time.Now().Add(time.Minute); !strings.Contains(out.String(), text); time.Sleep(5 * time.Millisecond) {
			if time.Now().After(end) {
				t.Fatalf("never: %s; output:\n%s", text, &out)
			}
		}
	}
	sees("service hello: ready, latest hello-world, replicas 0/0")
	if got := ask(t, port); got != "Hello World!\n" {
		t.Errorf("%q", got)
	}
	sees("cold start of hello-world: queued → process started")
	sees("replicas 1/1")
	for end := time.Now().Add(time.Minute); strings.Count(out.String(), "replicas 0/0") < 2; time.Sleep(5 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("not back at zero; output:\n%s", &out)
		}
	}
	if err := cmd.Process.Signal(os.Interrupt); err != nil {
		t.Fatal(err)
	}
	if err := cmd.Wait(); err != nil {
		t.Errorf("after Ctrl-C: %v; output:\n%s", err, &out)
	}
}

// When the output isn't read, as after Ctrl-S, nothing else stops.
func TestAnOutputThatNobodyReadsStopsNothing(t *testing.T) {
	binary, port := build(t)
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	if err := w.SetWriteDeadline(time.Now().Add(100 * time.Millisecond)); err != nil {
		t.Fatal(err)
	}
	for err == nil { // until it is full
		_, err = w.Write(make([]byte, 1<<10))
	}
	cmd := exec.Command(binary, "-port", fmt.Sprint(port), "-v")
	cmd.Dir, cmd.Stdout, cmd.Stderr = t.TempDir(), w, w
	cmd.Env = append(cmd.Environ(), "XDG_STATE_HOME="+cmd.Dir)
	err = orphans.StartFor(t, cmd)
	w.Close()
	if err != nil {
		t.Fatal(err)
	}
	ended := make(chan error, 1)
	go func() { ended <- cmd.Wait() }()
	defer func() { _ = cmd.Process.Kill() }()
	for end := time.Now().Add(time.Minute); ; time.Sleep(5 * time.Millisecond) {
		conn, err := net.Dial("tcp", fmt.Sprintf("127.0.0.1:%d", port))
		if err == nil {
			conn.Close()
			break
		}
		if time.Now().After(end) {
			t.Fatal(err)
		}
	}
	if got := ask(t, port); got != "Hello World!\n" {
		t.Errorf("%q", got)
	}
	if err := cmd.Process.Signal(os.Interrupt); err != nil {
		t.Fatal(err)
	}
	select {
	case err := <-ended:
		if err != nil {
			t.Error(err)
		}
	case <-time.After(time.Minute):
		t.Fatal("Ctrl-C didn't end it")
	}
}

func ask(t *testing.T, port int) string {
	t.Helper()
	req, err := http.NewRequest(http.MethodGet, fmt.Sprintf("http://127.0.0.1:%d/", port), nil)
	if err != nil {
		t.Fatal(err)
	}
	req.Host = "hello.default.127.0.0.1.sslip.io"
	client := http.Client{Timeout: time.Minute, Transport: &http.Transport{DisableKeepAlives: true}}
	resp, err := client.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return string(body)
}

func TestParse(t *testing.T) {
	o, err := parse([]string{
		"-f", "a.yaml", "-f", "dir", "-port", "9000", "-image", `x/y:v1=run 'a b'`, "-image", "z=$SHELL",
		"-stable-window", "6s", "-replica-ports", "21000-22000", "-v",
	}, io.Discard)
	if err != nil {
		t.Fatal(err)
	}
	got := fmt.Sprintf("%v %d %q %v %v %v", o.files, o.config.Port, o.config.Images, o.config.Scaling.StableWindow, o.config.ReplicaPorts, o.verbose)
	if want := `[a.yaml dir] 9000 map["x/y:v1":["run" "a b"] "z":["$SHELL"]] 6s 21000-22000 true`; got != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
}

func TestNoFiles(t *testing.T) {
	for args, want := range map[string]bool{"": true, "-f=": false, "-f a.yaml -f=": false, "-f a.yaml": false} {
		o, err := parse(strings.Fields(args), io.Discard)
		if err != nil || (o.files == nil) != want {
			t.Errorf("%q: %q, %v: the sample should be served: %v", args, o.files, err, want)
		}
	}
	err := run(context.Background(), []string{"-f=", "-api=false"}, nil, io.Discard, io.Discard)
	if err == nil || !strings.Contains(err.Error(), "-f") {
		t.Error(err)
	}
}

// Who names a directory for what doesn't last is told so.
func TestStateWithoutAPI(t *testing.T) {
	dir := t.TempDir()
	const line = "-state has no effect with -api=false: nothing lasts"
	for args, want := range map[string]bool{"-api=false -state " + dir: true, "-api=false": false, "-api=false -state=": false} {
		ctx, cancel := context.WithCancel(t.Context())
		var out outputs.Buffer
		ended := make(chan error, 1)
		go func() {
			ended <- run(ctx, append(strings.Fields(args), "-port", "0", "-f", "../../examples/hello.yaml"), nil, &out, &out)
		}()
		for end := time.Now().Add(time.Minute); !strings.Contains(out.String(), "listening on"); time.Sleep(time.Millisecond) {
			if time.Now().After(end) {
				t.Fatalf("%s: it doesn't run: %s", args, &out)
			}
		}
		if got := strings.Contains(out.String(), line); got != want {
			t.Errorf("%s: %s", args, &out)
		}
		cancel()
		if err := <-ended; err != nil {
			t.Errorf("%s: %v", args, err)
		}
	}
}

func TestParseRefuses(t *testing.T) {
	for _, c := range []struct{ args, want string }{
		{"-no-such-flag", "-help"},
		{"hello.yaml", `unexpected argument "hello.yaml"; manifests are given with -f`},
		{"-image x", "REFERENCE=COMMAND"},
		{"-image =x", "REFERENCE=COMMAND"},
		{"-image x=", "REFERENCE=COMMAND"},
		{"-replica-ports 5", "LOW-HIGH"},
		{"-stable-window six", "-stable-window"},
		{"-runtime containerd", "should be auto, process, podman, docker"},
	} {
		if _, err := parse(strings.Fields(c.args), io.Discard); err == nil || !strings.Contains(err.Error(), c.want) || strings.Contains(err.Error(), "\n") {
			t.Errorf("%s: %v", c.args, err)
		}
	}
}

func TestHelpListsEveryFlag(t *testing.T) {
	var b strings.Builder
	if _, err := parse([]string{"-help"}, &b); !errors.Is(err, flag.ErrHelp) {
		t.Error(err)
	}
	for _, name := range []string{"-f ", "-port ", "-listen ", "-image ", "-runtime ", "-max-replicas ", "-replica-ports ", "-api", "-api-port ", "-kubeconfig ", "-state ", "-version", "-stable-window ", "-scale-to-zero-grace-period ", "-max-scale-limit ", "-max-event-bytes ", "-max-log-bytes "} {
		if !strings.Contains(b.String(), "  "+name) {
			t.Errorf("%s is missing", name)
		}
	}
}

func TestRunSaysWhatIsWrong(t *testing.T) {
	bad := filepath.Join(t.TempDir(), "bad.yaml")
	if err := os.WriteFile(bad, []byte("kind: Pod\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	t.Setenv("XDG_STATE_HOME", t.TempDir())
	var out strings.Builder
	err := run(context.Background(), []string{"-f", bad}, nil, &out, &out)
	if err == nil || !strings.HasPrefix(err.Error(), bad+":1: ") || out.Len() > 0 {
		t.Errorf("%v, %q", err, &out)
	}
	if err := run(context.Background(), []string{"-version"}, nil, &out, io.Discard); err != nil || !strings.Contains(out.String(), "quickstart") {
		t.Errorf("%v, %q", err, &out)
	}
}

func TestManifestsFallBackToTheEmbeddedOne(t *testing.T) {
	t.Chdir(t.TempDir())
	o := options{}
	remove, err := o.manifests()
	if err != nil {
		t.Fatal(err)
	}
	if len(o.config.Files) > 0 {
		t.Error("the sample would be served beside what was saved")
	}
	if got, err := os.ReadFile(o.config.Sample[0]); err != nil || !bytes.Equal(got, examples.Hello) {
		t.Errorf("%q, %v", got, err)
	}
	remove()
	if _, err := os.Stat(o.config.Sample[0]); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("after remove: %v", err)
	}
}

// -f - was stat'ed as a file.
func TestQ8ManifestsOnStandardInput(t *testing.T) {
	binary, port := build(t)
	var out outputs.Buffer
	cmd := exec.Command(binary, "-f", "-", "-port", fmt.Sprint(port))
	cmd.Dir, cmd.Stdout, cmd.Stderr, cmd.Stdin = t.TempDir(), &out, &out, bytes.NewReader(examples.Hello)
	cmd.Env = append(cmd.Environ(), "XDG_STATE_HOME="+cmd.Dir)
	if err := orphans.StartFor(t, cmd); err != nil {
		t.Fatal(err)
	}
	defer func() { _ = cmd.Process.Kill() }()
	for end := time.Now().Add(time.Minute); !strings.Contains(out.String(), "service hello: ready, latest hello-world"); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("it doesn't serve; output:\n%s", &out)
		}
	}
	if !strings.Contains(out.String(), "manifests: stdin") {
		t.Errorf("output:\n%s", &out)
	}
	if got := ask(t, port); got != "Hello World!\n" {
		t.Errorf("%q", got)
	}
	if err := cmd.Process.Signal(os.Interrupt); err != nil {
		t.Fatal(err)
	}
	if err := cmd.Wait(); err != nil {
		t.Errorf("%v; output:\n%s", err, &out)
	}
	err := run(context.Background(), []string{"-f", "-"}, strings.NewReader("kind: Service\n"), &out, &out)
	if err == nil || err.Error() != "stdin:1: field apiVersion: missing" {
		t.Errorf("%v", err)
	}
}

// Ctrl-C ends the wait for manifests that never come.
func TestQ8InterruptedWhileManifestsAreRead(t *testing.T) {
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- run(ctx, []string{"-f", "-"}, r, io.Discard, io.Discard) }()
	cancel()
	if err := <-done; !errors.Is(err, context.Canceled) {
		t.Errorf("%v", err)
	}
	w.Close() // and with it the reader
	r.Close()
}
