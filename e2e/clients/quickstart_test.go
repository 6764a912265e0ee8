package clients

import (
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"regexp"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"

	"github.com/sluice-proxy/sluice/internal/orphans"
	"github.com/sluice-proxy/sluice/internal/outputs"
)

// patience is for what has to come.
const patience = time.Minute

// scalesSoon are flags with which replicas without requests end within seconds.
var scalesSoon = []string{"-stable-window", "2s", "-scale-to-zero-grace-period", "0s", "-tick-interval", "200ms"}

// quickstart is one that runs as a process, with the default flags and an empty directory of its own for what lasts.
type quickstart struct {
	t          testing.TB
	dir        string // its working directory and its user's
	args       []string
	port       int    // of the ingress
	kubeconfig string // as it has printed it

	cmd    *exec.Cmd
	out    *outputs.Buffer
	exited chan struct{}
	err    error // of the exit
}

// newQuickstart starts a quickstart without files and waits until it serves. It ends with the test.
func newQuickstart(t testing.TB, args ...string) *quickstart {
	t.Helper()
	port := freePort(t)
	q := &quickstart{t: t, dir: t.TempDir(), port: port, args: append([]string{"-f=", "-port", strconv.Itoa(port)}, args...)}
	q.start()
	t.Cleanup(q.stop)
	return q
}

// start starts it, again too, and waits until it serves.
func (q *quickstart) start() {
	q.t.Helper()
	q.launch(q.args...)
	line := regexp.MustCompile(`(?m)^sluice: for kubectl and kn:  export KUBECONFIG=(.*)$`)
	q.until(line.MatchString)
	q.kubeconfig = line.FindStringSubmatch(q.out.String())[1]
}

// launch starts the binary.
func (q *quickstart) launch(args ...string) {
	q.t.Helper()
	q.out, q.exited = new(outputs.Buffer), make(chan struct{})
	q.cmd = exec.Command(binary, args...)
	q.cmd.Dir, q.cmd.Stdout, q.cmd.Stderr = q.dir, q.out, q.out
	q.cmd.Env = append(os.Environ(), "HOME="+q.dir, "XDG_STATE_HOME=") // which is as if it weren't set
	if err := orphans.StartFor(q.t, q.cmd); err != nil {
		q.t.Fatal(err)
	}
	go func() {
		q.err = q.cmd.Wait()
		close(q.exited)
	}()
}

// until waits until the output is as it should be.
func (q *quickstart) until(is func(output string) bool) {
	q.t.Helper()
	for end := time.Now().Add(patience); !is(q.out.String()); time.Sleep(2 * time.Millisecond) {
		select {
		case <-q.exited:
			if is(q.out.String()) {
				return
			}
			q.t.Fatalf("%v ended: %v; output:\n%s", q.cmd.Args, q.err, q.out)
		default:
		}
		if time.Now().After(end) {
			q.t.Fatalf("not in time; output:\n%s", q.out)
		}
	}
}

// stop ends it as Ctrl-C does, if it runs, and checks that it ends well.
func (q *quickstart) stop() {
	q.t.Helper()
	if err := q.cmd.Process.Signal(syscall.SIGTERM); errors.Is(err, os.ErrProcessDone) {
		return
	}
	q.waits()
	if q.err != nil {
		q.t.Errorf("after SIGTERM: %v; output:\n%s", q.err, q.out)
	}
	if q.t.Failed() {
		lines := strings.SplitAfter(q.out.String(), "\n")
		q.t.Logf("the end of the quickstart's output:\n%s", strings.Join(lines[max(0, len(lines)-100):], ""))
	}
}

// kill ends it as nothing should.
func (q *quickstart) kill() {
	q.t.Helper()
	if err := q.cmd.Process.Kill(); err != nil {
		q.t.Fatal(err)
	}
	q.waits()
}

func (q *quickstart) waits() {
	q.t.Helper()
	select {
	case <-q.exited:
	case <-time.After(patience):
		q.t.Errorf("it doesn't end; output:\n%s", q.out)
		_ = q.cmd.Process.Kill()
		<-q.exited
	}
}

// config is what client-go reads from the kubeconfig.
func (q *quickstart) config() *rest.Config {
	q.t.Helper()
	c, err := clientcmd.BuildConfigFromFlags("", q.kubeconfig)
	if err != nil {
		q.t.Fatal(err)
	}
	c.QPS = -1 // no limit
	return c
}

// url of a path of a service, for any client: names below localhost are this machine's.
func (q *quickstart) url(namespace, service string) string {
	return fmt.Sprintf("http://%s.%s.localhost:%d/", service, namespace, q.port)
}

func freePort(t testing.TB) int {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().(*net.TCPAddr).Port
}
