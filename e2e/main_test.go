package e2e

import (
	"flag"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"go.uber.org/goleak"
)

const module = "github.com/sluice-proxy/sluice"

// binaries is the directory of the binaries that buildAll has built.
var binaries string

func TestMain(m *testing.M) {
	flag.Parse()
	dir, err := os.MkdirTemp("", "sluice-e2e-")
	if err == nil {
		binaries = dir
		err = buildAll(dir)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	// More parallel tests than cores may run, since they mostly wait for the autoscaler's windows.
	if f := flag.Lookup("test.parallel"); f.Value.String() == f.DefValue {
		_ = f.Value.Set("6")
	}
	goleak.VerifyTestMain(m, goleak.Cleanup(func(code int) {
		_ = os.RemoveAll(dir)
		os.Exit(code)
	}))
}

// buildAll builds the three binaries and the app, under the race detector when the tests are.
func buildAll(dir string) error {
	args := []string{"build", "-o", dir}
	if raceEnabled {
		args = append(args, "-race")
	}
	args = append(args, module+"/cmd/...", module+"/e2e/app")
	if out, err := exec.Command("go", args...).CombinedOutput(); err != nil {
		return fmt.Errorf("go build: %w\n%s", err, out)
	}
	return nil
}

// link puts a binary into a test's directory and returns its path there.
func link(t testing.TB, dir, name string) string {
	t.Helper()
	to := filepath.Join(dir, name)
	if err := os.Link(filepath.Join(binaries, name), to); err == nil {
		return to
	}
	b, err := os.ReadFile(filepath.Join(binaries, name))
	if err == nil {
		err = os.WriteFile(to, b, 0o755)
	}
	if err != nil {
		t.Fatal(err)
	}
	return to
}
