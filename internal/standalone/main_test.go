package standalone

import (
	"context"
	"fmt"
	"os"
	"os/signal"
	"syscall"
	"testing"

	"go.uber.org/goleak"

	"github.com/sluice-proxy/sluice/internal/standalone/hello"
	"github.com/sluice-proxy/sluice/internal/standalone/player"
	"github.com/sluice-proxy/sluice/internal/standalone/replica"
	"github.com/sluice-proxy/sluice/queueproxy/sidecar"
)

// The test binary is every process of a replica too, as cmd/quickstart is.
func TestMain(m *testing.M) {
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM)
	var err error
	switch os.Args[0] {
	case replica.SupervisorName:
		os.Exit(replica.Main())
	case QueueProxyName:
		err = sidecar.Main(ctx)
	case hello.Name:
		err = hello.Main(ctx, os.Getenv)
	case player.Name:
		err = player.Main(ctx, os.Getenv)
	default:
		stop()
		goleak.VerifyTestMain(m)
		return
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	os.Exit(0)
}
