package proxy_test

import (
	"flag"
	"os"
	"testing"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) {
	if app := os.Getenv(memoryServe); app != "" {
		if err := serveForMemory(app); err != nil {
			panic(err)
		}
		return
	}
	// The tables wait more than they work; -parallel still overrides this.
	if err := flag.Set("test.parallel", "8"); err != nil {
		panic(err)
	}
	goleak.VerifyTestMain(m)
}
