package main

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"go.uber.org/goleak"
)

// binary is the one under test, and queueProxy that of its pods.
var binary, queueProxy string

func TestMain(m *testing.M) {
	dir, err := os.MkdirTemp("", "activator")
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	binary, queueProxy = filepath.Join(dir, "activator"), filepath.Join(dir, "queue-proxy")
	if out, err := exec.Command("go", "build", "-o", dir, ".", "../queue-proxy").CombinedOutput(); err != nil {
		fmt.Fprintf(os.Stderr, "%v\n%s", err, out)
		os.Exit(1)
	}
	goleak.VerifyTestMain(m, goleak.Cleanup(func(code int) {
		_ = os.RemoveAll(dir)
		os.Exit(code)
	}))
}
