package clients

import (
	"flag"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"go.uber.org/goleak"
)

var (
	update = flag.Bool("update", false, "write docs/walk.md instead of comparing with it")
	length = flag.Duration("for", 0, "how long TestInformers changes objects with each kind of informers (default 10s)")
)

// binary is the quickstart that TestMain has built, as its users build it: in the root module's directory.
var binary string

func TestMain(m *testing.M) {
	flag.Parse()
	dir, err := os.MkdirTemp("", "sluice-clients-")
	if err == nil {
		binary = filepath.Join(dir, "quickstart")
		build := exec.Command("go", "build", "-o", binary, "./cmd/quickstart")
		build.Dir = filepath.Join("..", "..")
		var out []byte
		if out, err = build.CombinedOutput(); err != nil {
			err = fmt.Errorf("go build ./cmd/quickstart: %w\n%s", err, out)
		}
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
