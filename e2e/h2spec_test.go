package e2e

import (
	"encoding/json"
	"errors"
	"net"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// h2specTests is the number of tests: with fewer outcomes some were not run.
const h2specTests = 146

// Both proxies keep all of HTTP/2's rules, the recommended ones too, on each port.
func TestH2spec(t *testing.T) {
	t.Parallel()
	tool := buildH2spec(t)
	c := newCluster(t, "", "-http2-port", strconv.Itoa(freePort(t)))
	p := c.pod("one")
	p.startApp(c)
	c.pods("", p)
	mustGet(t, clientOf(t, c.addr, 1), c.url("/"))
	http2 := c.activator.cmd.Args[slices.Index(c.activator.cmd.Args, "0")+2]

	for name, addr := range map[string]string{
		"queue-proxy": p.addr, "activator, port of HTTP/1": c.addr, "activator, port of HTTP/2": "127.0.0.1:" + http2,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var failed []string
			for range 3 { // the machine may stall
				if failed = h2spec(t, tool, addr); len(failed) == 0 {
					return
				}
			}
			t.Errorf("%d fail\n%s", len(failed), strings.Join(failed, "\n"))
		})
	}
}

// buildH2spec builds e2e/h2spec, which is its own module.
func buildH2spec(t *testing.T) string {
	t.Helper()
	tool := filepath.Join(t.TempDir(), "h2spec")
	cmd := exec.Command("go", "build", "-o", tool, ".")
	cmd.Dir = "h2spec"
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Skipf("h2spec can't be built: %v\n%s", err, out)
	}
	return tool
}

// h2spec runs the tests, and returns those that fail.
func h2spec(t *testing.T, tool, addr string) (failed []string) {
	t.Helper()
	_, port, _ := net.SplitHostPort(addr)
	// An answer that doesn't wait for the body may come before an error in the body is found.
	cmd := exec.CommandContext(t.Context(), tool, "-host", "rev.default.svc.cluster.local", "-path", "/upload", "-port", port, "-timeout", "3s")
	out, err := cmd.Output()
	if err != nil {
		var exit *exec.ExitError
		if errors.As(err, &exit) {
			t.Logf("%s", tail(string(exit.Stderr), 5000))
		}
		t.Fatalf("%v: %v", cmd.Args, err)
	}
	var all []struct {
		Name, Error string
		Skip        bool
	}
	if err := json.Unmarshal(out, &all); err != nil {
		t.Fatalf("%v: %v\n%s", cmd.Args, err, out)
	}
	tests := 0
	for _, o := range all {
		if !o.Skip {
			tests++
		}
		if o.Error != "" {
			failed = append(failed, o.Name+"\n\t"+strings.ReplaceAll(o.Error, "\n", "\n\t"))
		}
	}
	if tests < h2specTests {
		t.Errorf("%d tests were run, fewer than %d", tests, h2specTests)
	}
	return failed
}
