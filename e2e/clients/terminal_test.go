package clients

import (
	_ "embed"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/sluice-proxy/sluice/internal/orphans"
	"github.com/sluice-proxy/sluice/internal/outputs"
)

// hello is Knative's first sample (https://knative.dev/docs/getting-started/first-service/).
//
//go:embed testdata/hello.yaml
var hello string

// terminal is a user's: a shell in a directory with hello.yaml, with kubectl and kn on its path and the KUBECONFIG of a quickstart.
type terminal struct {
	t   testing.TB
	dir string
	env []string
}

func newTerminal(t testing.TB, q *quickstart) *terminal {
	t.Helper()
	k := &terminal{t: t, dir: t.TempDir()}
	path := filepath.Dir(kubectl(t)) + ":" + filepath.Dir(kn) + ":" + os.Getenv("PATH")
	k.env = append(os.Environ(), "HOME="+k.dir, "KUBECONFIG="+q.kubeconfig, "PATH="+path)
	k.write("hello.yaml", hello)
	return k
}

// kubectl finds the program in $SLUICE_KUBE_BIN, where hack/cluster builds it, or on the path.
func kubectl(t testing.TB) string {
	t.Helper()
	if dir := os.Getenv("SLUICE_KUBE_BIN"); dir != "" {
		if p, err := exec.LookPath(filepath.Join(dir, "kubectl")); err == nil {
			return p
		}
	}
	p, err := exec.LookPath("kubectl")
	if err != nil {
		t.Skip("kubectl is neither in $SLUICE_KUBE_BIN nor on the path")
	}
	return p
}

func (k *terminal) write(file, text string) {
	k.t.Helper()
	if err := os.WriteFile(filepath.Join(k.dir, file), []byte(text), 0o700); err != nil {
		k.t.Fatal(err)
	}
}

// job is a command that runs.
type job struct {
	k    *terminal
	line string
	cmd  *exec.Cmd
	out  *outputs.Buffer // stdout and stderr, as on a terminal
	done chan struct{}
	err  error
}

// start runs a line in the background. It ends with the test, or with end.
func (k *terminal) start(line string) *job {
	k.t.Helper()
	j := &job{k: k, line: line, out: new(outputs.Buffer), done: make(chan struct{})}
	j.cmd = exec.Command("sh", "-c", line)
	j.cmd.Dir, j.cmd.Env, j.cmd.Stdout, j.cmd.Stderr = k.dir, k.env, j.out, j.out
	if err := orphans.StartFor(k.t, j.cmd); err != nil {
		k.t.Fatal(err)
	}
	go func() {
		j.err = j.cmd.Wait()
		close(j.done)
	}()
	k.t.Cleanup(j.end)
	return j
}

// end interrupts the job's processes, as Ctrl-C does, and waits for them.
func (j *job) end() {
	select {
	case <-j.done:
		return
	default:
	}
	for _, s := range []syscall.Signal{syscall.SIGINT, syscall.SIGKILL} {
		_ = syscall.Kill(-j.cmd.Process.Pid, s)
		select {
		case <-j.done:
			return
		case <-time.After(10 * time.Second):
		}
	}
}

// waits for the end of the job and returns its output.
func (j *job) waits() string {
	j.k.t.Helper()
	select {
	case <-j.done:
	case <-time.After(patience):
		j.k.t.Errorf("%s\ndoesn't end; output:\n%s", j.line, j.out)
		j.end()
	}
	return j.out.String()
}

// until waits until the output has a match.
func (j *job) until(want string) {
	j.k.t.Helper()
	for end := time.Now().Add(patience); !matches(j.out.String(), want); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(end) {
			j.k.t.Fatalf("%s\ngot no %q; output:\n%s", j.line, want, j.out)
		}
	}
}

// ok runs a line that has to succeed, with output that matches each regular expression.
func (k *terminal) ok(line string, want ...string) string {
	k.t.Helper()
	j := k.start(line)
	got := j.waits()
	if j.err != nil {
		k.t.Fatalf("%s\n%v; output:\n%s", line, j.err, got)
	}
	k.check(line, got, want)
	return got
}

// fails runs a line that has to fail, with output that matches each regular expression.
func (k *terminal) fails(line string, want ...string) string {
	k.t.Helper()
	j := k.start(line)
	got := j.waits()
	if j.err == nil {
		k.t.Errorf("%s\nshould fail; output:\n%s", line, got)
	}
	k.check(line, got, want)
	return got
}

func (k *terminal) check(line, got string, want []string) {
	k.t.Helper()
	for _, w := range want {
		if !matches(got, w) {
			k.t.Errorf("%s\nshould match %q; output:\n%s", line, w, got)
		}
	}
}

// until runs a line again and again until it succeeds with output that matches.
func (k *terminal) until(line, want string) string {
	k.t.Helper()
	for end := time.Now().Add(patience); ; time.Sleep(50 * time.Millisecond) {
		j := k.start(line)
		got := j.waits()
		if j.err == nil && matches(got, want) {
			return got
		}
		if time.Now().After(end) {
			k.t.Fatalf("%s\nnever matched %q: %v; output:\n%s", line, want, j.err, got)
		}
	}
}

// matches: "!" before the expression says that there must be no match.
func matches(text, expression string) bool {
	rest, not := strings.CutPrefix(expression, "!")
	return regexp.MustCompile(`(?m)`+rest).MatchString(text) != not
}
