package standalone

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/sluice-proxy/sluice/internal/standalone/replica"
)

// An app that listens on its containerPort whatever $PORT is serves, as one replica at a time; a new revision of it takes over
// the port, and so does what replaces a changed program.
func TestAppThatListensOnItsContainerPort(t *testing.T) {
	t.Parallel()
	app := filepath.Join(t.TempDir(), "app")
	if out, err := exec.Command("go", "build", "-o", app, "./testdata/app").CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	claim := replica.NewPorts("127.0.0.1", replica.PortRange{Low: 15000, High: 19999})
	t.Cleanup(claim.Close)
	ports, err := claim.Take(1)
	if err != nil {
		t.Fatal(err)
	}
	manifest := func(greeting string) string {
		return atLeast(2, serviceOf("fixed", fmt.Sprintf("      containers:\n      - image: i\n        command: [%s, fixed, '127.0.0.1:%d']\n        ports: [{containerPort: %[2]d}]\n        env: [{name: GREETING, value: %s}]\n", app, ports[0], greeting)))
	}
	w := newWorld(t, manifest("first")).start()
	serves := func(greeting, not string) (pid string) {
		t.Helper()
		w.eventually("it serves "+greeting, func() bool {
			got, err := w.get("fixed")
			if err != nil || !strings.HasPrefix(got, "200 ") {
				t.Errorf("a request is lost: %q, %v", got, err)
			}
			_, pid, _ = strings.Cut(got, "\npid: ")
			pid, _, _ = strings.Cut(pid, "\n")
			return pid != not && strings.Contains(got, fmt.Sprintf("GREETING: %q\n", greeting)) && strings.Contains(got, fmt.Sprintf("PORT: \"%d\"\n", ports[0]))
		})
		return pid
	}
	w.sees("replicas 1/2", "service fixed: ready")
	first := serves("first", "")
	w.sees(fmt.Sprintf("fixed-00001: the app listens on its containerPort, %d, and not on $PORT", ports[0]))
	w.write(manifest("second"))
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
