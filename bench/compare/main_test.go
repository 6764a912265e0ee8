package main

import (
	"context"
	"fmt"
	"os"
	"testing"

	"go.uber.org/goleak"
)

// The comparison starts its own program, which is the test binary here, in other roles.
func TestMain(m *testing.M) {
	if role := os.Getenv(roleVariable); role != "" {
		err := play(context.Background(), role)
		fmt.Fprintln(os.Stderr, err)
		os.Exit(exitCode(err))
	}
	goleak.VerifyTestMain(m)
}
