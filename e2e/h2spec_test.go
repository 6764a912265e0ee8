package e2e

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/sluice-proxy/sluice/proxy"
)

// h2specTests is the number of tests: with fewer outcomes some were not run.
const h2specTests = 146

// Both proxies fail only those tests of h2spec that net/http's server fails too, with the same settings.
func TestH2spec(t *testing.T) {
	t.Parallel()
	tool := buildH2spec(t)
	c := newCluster(t, "", "-http2-port", strconv.Itoa(freePort(t)))
	p := c.pod("one")
	p.startApp(c)
	c.pods("", p)
	mustGet(t, clientOf(t, c.addr, 1), c.url("/"))
	http2 := c.activator.cmd.Args[slices.Index(c.activator.cmd.Args, "0")+2]

	known := h2spec(t, tool, plainServer(t))
	t.Logf("net/http by itself fails %d of %d\n%s", len(known.failed), known.tests, strings.Join(known.beyond(conformance{}), "\n"))
	for name, addr := range map[string]string{
		"queue-proxy": p.addr, "activator, port of HTTP/1": c.addr, "activator, port of HTTP/2": "127.0.0.1:" + http2,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var worse []string
			for range 3 { // the machine may stall
				got := h2spec(t, tool, addr)
				if worse = got.beyond(known); len(worse) == 0 {
					t.Logf("%d of %d fail", len(got.failed), got.tests)
					return
				}
				t.Logf("%d of %d fail, beyond net/http's\n%s", len(got.failed), got.tests, strings.Join(worse, "\n"))
			}
			t.Errorf("net/http by itself doesn't fail\n%s", strings.Join(worse, "\n"))
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

// plainServer is net/http's server without our proxies.
func plainServer(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	s := proxy.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		n, _ := io.Copy(io.Discard, r.Body) // like the app's /upload
		_, _ = fmt.Fprintln(w, n)
	}), proxy.ServerConfig{})
	done := make(chan struct{})
	go func() { defer close(done); _ = s.Serve(l) }()
	t.Cleanup(func() { _ = s.Close(); <-done })
	return l.Addr().String()
}

// conformance is the result of h2spec.
type conformance struct {
	tests  int
	failed map[string]string // errors by test
}

// beyond lists the failures that are not among known's.
func (c conformance) beyond(known conformance) (worse []string) {
	for name, wrong := range c.failed {
		if _, ok := known.failed[name]; !ok {
			worse = append(worse, name+"\n\t"+strings.ReplaceAll(wrong, "\n", "\n\t"))
		}
	}
	slices.Sort(worse)
	return worse
}

func h2spec(t *testing.T, tool, addr string) conformance {
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
	c := conformance{failed: map[string]string{}}
	for _, o := range all {
		if !o.Skip {
			c.tests++
		}
		if o.Error != "" {
			c.failed[o.Name] = o.Error
		}
	}
	if c.tests < h2specTests {
		t.Errorf("%d tests were run, fewer than %d", c.tests, h2specTests)
	}
	return c
}
