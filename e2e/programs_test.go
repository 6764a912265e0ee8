package e2e

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// program runs a client program and returns its output and standard error. It skips the test if it isn't installed.
func program(t *testing.T, name string, args ...string) string {
	t.Helper()
	needs(t, name)
	out, err := exec.CommandContext(t.Context(), name, args...).CombinedOutput()
	if err != nil {
		t.Fatalf("%s %v: %v\n%s", name, args, err, out)
	}
	return string(out)
}

// needs skips the test if a program is not installed.
func needs(t *testing.T, name string) {
	t.Helper()
	if _, err := exec.LookPath(name); err != nil {
		t.Skipf("%s is not installed", name)
	}
}

func TestCurl(t *testing.T) {
	t.Parallel()
	q := serve(t, service{})
	url := fmt.Sprintf("http://%s/", q.addr())
	curl := func(t *testing.T, args ...string) string {
		t.Helper()
		return program(t, "curl", append([]string{"-sS", "--fail", "--max-time", "60", "-H", "Host: " + q.host("app")}, args...)...)
	}
	t.Run("HTTP/1.1 from zero", func(t *testing.T) {
		if got := curl(t, "-w", "%{http_code} %{http_version}", url); got != "ok\n200 1.1" {
			t.Errorf("%q", got)
		}
	})
	t.Run("HTTP/2 with prior knowledge", func(t *testing.T) {
		if got := curl(t, "--http2-prior-knowledge", "-w", "%{http_code} %{http_version}", url); got != "ok\n200 2" {
			t.Errorf("%q", got)
		}
		if got := curl(t, "--http2-prior-knowledge", url+"headers"); !strings.Contains(got, `"HTTP/2.0"`) {
			t.Errorf("the app got %s", got)
		}
	})
	t.Run("Upgrade h2c is declined", func(t *testing.T) {
		if got := curl(t, "--http2", "-w", "%{http_code} %{http_version}", url); got != "ok\n200 1.1" {
			t.Errorf("%q", got)
		}
	})
	t.Run("upload after 100 Continue", func(t *testing.T) {
		file := filepath.Join(t.TempDir(), "file")
		if err := os.WriteFile(file, make([]byte, 2<<20), 0o600); err != nil {
			t.Fatal(err)
		}
		got := curl(t, "-v", "-H", "Expect: 100-continue", "--expect100-timeout", "50", "-T", file, url+"upload")
		if !strings.Contains(got, "2097152\n") || !strings.Contains(got, "HTTP/1.1 100 Continue") {
			t.Errorf("%s", got)
		}
	})
}

func TestH2load(t *testing.T) {
	t.Parallel()
	q := serve(t, service{concurrency: 10})
	got := program(t, "h2load", "-n", "2000", "-c", "10", "-m", "10", "--connect-to", q.addr(), q.url("app", "/"))
	if !strings.Contains(got, "2000 succeeded, 0 failed, 0 errored, 0 timeout") || !strings.Contains(got, "2000 2xx") {
		t.Errorf("%s", got)
	}
}
