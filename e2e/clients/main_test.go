package clients

import (
	"errors"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"go.uber.org/goleak"
)

var (
	update = flag.Bool("update", false, "write docs/walk.md instead of comparing with it")
	length = flag.Duration("for", 0, "how long TestInformers changes objects with each kind of informers (default 10s)")
)

// What TestMain has built: the quickstart, as its users build it, in the root module's directory; and kn, of the module kn.
var binary, kn string

func TestMain(m *testing.M) {
	flag.Parse()
	dir, err := os.MkdirTemp("", "sluice-clients-")
	if err == nil {
		binary = filepath.Join(dir, "quickstart")
		_, err = goes(filepath.Join("..", ".."), "build", "-o", binary, "./cmd/quickstart")
	}
	if err == nil {
		kn, err = goes("kn", "tool", "-n", "kn") // builds it unless the cache has it, and prints where it is
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	// More parallel tests than cores may run, since they mostly wait.
	if f := flag.Lookup("test.parallel"); f.Value.String() == f.DefValue {
		_ = f.Value.Set("4")
	}
	goleak.VerifyTestMain(m, goleak.Cleanup(func(code int) {
		_ = os.RemoveAll(dir)
		os.Exit(code)
	}))
}

// goes runs the go command in a directory and returns what it prints.
func goes(dir string, args ...string) (string, error) {
	cmd := exec.Command("go", args...)
	cmd.Dir = dir
	out, err := cmd.Output()
	if failed := (*exec.ExitError)(nil); errors.As(err, &failed) {
		err = fmt.Errorf("%v in %s: %w\n%s", cmd.Args, dir, err, failed.Stderr)
	}
	return strings.TrimSpace(string(out)), err
}
