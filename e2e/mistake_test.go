package e2e

import (
	"fmt"
	"net"
	"os/exec"
	"regexp"
	"strconv"
	"strings"
	"testing"
)

// run runs a quickstart that must end by itself.
func (q *quickstart) run(args ...string) (code int, output string) {
	q.t.Helper()
	q.launch(exec.Command(link(q.t, q.dir, "quickstart"), args...))
	state := q.wait()
	return state.ExitCode(), q.output()
}

func TestPortInUse(t *testing.T) {
	t.Parallel()
	q := newQuickstart(t)
	l, err := net.Listen("tcp", "127.0.0.1:0") // the one that was found free may be taken by now
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = l.Close() }()
	q.port = l.Addr().(*net.TCPAddr).Port
	code, out := q.run(q.args()...)
	if code == 0 || !strings.Contains(out, strconv.Itoa(q.port)) || !strings.Contains(out, "-port") || !oneLine(out) {
		t.Errorf("exit code %d: %s", code, out)
	}
}

func TestBadManifest(t *testing.T) {
	t.Parallel()
	q := newQuickstart(t)
	q.writeText(strings.Replace(service{}.yaml(q.dir), "containerConcurrency: 0", "containerConcurency: 0", 1))
	code, out := q.run(q.args()...)
	if code == 0 || !oneLine(out) || !regexp.MustCompile(`service\.yaml:9: .*spec\.template\.spec\.containerConcurency.*containerConcurrency`).MatchString(out) {
		t.Errorf("exit code %d: %s", code, out)
	}
}

func oneLine(s string) bool { return strings.Count(s, "\n") == 1 && strings.HasSuffix(s, "\n") }

func TestHelpAndVersion(t *testing.T) {
	t.Parallel()
	for arg, want := range map[string]string{"-help": "-scale-to-zero-grace-period", "-version": "go1."} {
		q := newQuickstart(t)
		if code, out := q.run(arg); code != 0 || !strings.Contains(out, want) {
			t.Errorf("%s: exit code %d: %s", arg, code, out)
		}
	}
}

func TestAppThatIgnoresPort(t *testing.T) {
	t.Parallel()
	needProc(t)
	port := freePort(t)
	q := serve(t, service{timeout: 10, env: map[string]string{"APP_PORT": strconv.Itoa(port)}})
	q.ask(q.url("app", "/"))
	q.sees(fmt.Sprint(port), "$PORT")
}

func TestCrashLoopIsVisible(t *testing.T) {
	t.Parallel()
	q := serve(t, service{timeout: 10, env: map[string]string{"APP_EXIT": "7"}})
	q.ask(q.url("app", "/"))
	q.sees("CrashLoopBackOff", "7", "cannot open the database")
}

func TestMaxReplicasIsSaidWhenItBinds(t *testing.T) {
	t.Parallel()
	q := newQuickstart(t)
	q.write(service{concurrency: 1})
	q.start(append(fast, "-max-replicas", "2")...)
	c := q.client(20)
	for _, a := range burst(20, func(int) answer { return get(c, q.url("app", "/sleep?d=200ms")) }) {
		if !a.ok() {
			t.Error(a)
		}
	}
	q.sees("-max-replicas")
	if started := len(q.notes()); started != 2 {
		t.Errorf("%d replicas started", started)
	}
}
