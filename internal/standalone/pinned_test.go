package standalone

import (
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/sluice-proxy/sluice/internal/standalone/replica"
)

// onePort is an app that listens on its containerPort, whatever $PORT is.
func onePort(t *testing.T) (app string, port int, manifest func(replicas int, greeting string) string) {
	t.Helper()
	app = filepath.Join(t.TempDir(), "app")
	if out, err := exec.Command("go", "build", "-o", app, "./testdata/app").CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	claim := replica.NewPorts("127.0.0.1", replica.PortRange{Low: 15000, High: 19999})
	t.Cleanup(claim.Close)
	ports, err := claim.Take(1)
	if err != nil {
		t.Fatal(err)
	}
	return app, ports[0], func(replicas int, greeting string) string {
		return atLeast(replicas, serviceOf("fixed", fmt.Sprintf("      containers:\n      - image: i\n        command: [%s, fixed, '127.0.0.1:%d']\n        ports: [{containerPort: %[2]d}]\n        env: [{name: GREETING, value: %s}]\n", app, ports[0], greeting)))
	}
}

// pidOf is the process that an answer is of.
func pidOf(answer string) string {
	_, pid, _ := strings.Cut(answer, "\npid: ")
	pid, _, _ = strings.Cut(pid, "\n")
	return pid
}

// Where the machine allows it such an app has as many replicas as any other, and revisions run side by side.
func TestAppThatListensOnItsContainerPortHasReplicas(t *testing.T) {
	t.Parallel()
	if err := replica.CanRebind(); err != nil {
		t.Skip(err)
	}
	_, port, manifest := onePort(t)
	w := newWorld(t, manifest(1, "first")).start()
	w.sees("service fixed: ready", fmt.Sprintf("fixed-00001: the app listens on its containerPort, %d, and not on $PORT: it is started again, and its replicas get other ports", port))
	l := w.load("fixed", 4)
	w.write(manifest(3, "second"))
	served := map[string]bool{}
	w.eventually("three replicas serve", func() bool {
		got, err := w.get("fixed")
		if err != nil || !strings.HasPrefix(got, "200 ") || !strings.Contains(got, fmt.Sprintf("PORT: \"%d\"\n", port)) {
			t.Fatalf("%q, %v", got, err)
		}
		if strings.Contains(got, "GREETING: \"second\"\n") {
			served[pidOf(got)] = true
		}
		return len(served) == 3
	})
	l.stop()
	if l.lost.Load() > 0 {
		t.Errorf("%d of %d requests are lost, the first: %v", l.lost.Load(), l.sent.Load(), l.first.Load())
	}
	if strings.Contains(w.out.String(), "fixed-00002: the app listens on its containerPort") {
		t.Error("the second revision has not inherited the port")
	}
}

// It serves even if another program has its port, as the ingress and other services may.
func TestAppWhoseContainerPortIsTaken(t *testing.T) {
	t.Parallel()
	if err := replica.CanRebind(); err != nil {
		t.Skip(err)
	}
	_, port, manifest := onePort(t)
	l, err := net.Listen("tcp", fmt.Sprintf("127.0.0.1:%d", port))
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	w := newWorld(t, manifest(1, "hello")).start()
	if got, err := w.get("fixed"); err != nil || !strings.HasPrefix(got, "200 ") || !strings.Contains(got, `GREETING: "hello"`) {
		t.Errorf("%q, %v", got, err)
	}
	w.sees(fmt.Sprintf("fixed-00001: its containerPort, %d, can't be had on this machine (address already in use): it is started again", port))
}

// Elsewhere it serves as one replica at a time; a new revision of it takes over the port, and so does what replaces a changed
// program.
func TestAppThatListensOnItsContainerPort(t *testing.T) {
	t.Parallel()
	app, port, manifest := onePort(t)
	w := newWorld(t, manifest(2, "first"))
	w.config.canRebind = func() error { return errors.New("not here") }
	w.start()
	serves := func(greeting, not string) (pid string) {
		t.Helper()
		w.eventually("it serves "+greeting, func() bool {
			got, err := w.get("fixed")
			if err != nil || !strings.HasPrefix(got, "200 ") {
				t.Errorf("a request is lost: %q, %v", got, err)
			}
			pid = pidOf(got)
			return pid != not && strings.Contains(got, fmt.Sprintf("GREETING: %q\n", greeting)) && strings.Contains(got, fmt.Sprintf("PORT: \"%d\"\n", port))
		})
		return pid
	}
	w.sees("replicas 1/2", "service fixed: ready")
	first := serves("first", "")
	w.sees(fmt.Sprintf("fixed-00001: the app listens on its containerPort, %d, and not on $PORT: it is started again for that port, and has one replica at a time (not here); for more", port))
	w.write(manifest(2, "second"))
	second := serves("second", first)
	if strings.Contains(w.out.String(), "fixed-00002: the app listens on its containerPort") {
		t.Error("the second revision has not inherited the port")
	}
	program, err := os.ReadFile(app)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(app+".new", append(program, 0), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.Rename(app+".new", app); err != nil {
		t.Fatal(err)
	}
	w.sees("fixed-00002: " + app + " has changed: its replicas are replaced")
	serves("second", second)
}
