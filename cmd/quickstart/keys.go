package main

import (
	"context"
	"io"
	"os"
	"syscall"

	"go.uber.org/zap"
	"golang.org/x/term"

	"github.com/sluice-proxy/sluice/internal/standalone"
	"github.com/sluice-proxy/sluice/internal/standalone/keyboard"
)

// keysHelp describes the keys.
const keysHelp = "sluice: keys: r restarts all replicas, z scales to zero, q ends like Ctrl-C, ? shows this"

// readKeys handles the keys of the terminal until stop is called, which waits for its end. It does nothing unless stdin and stdout
// are terminals.
func readKeys(s *standalone.Server, c standalone.Config, stdin io.Reader, stdout io.Writer) (stop func()) {
	in, ok := stdin.(*os.File)
	if !ok || !term.IsTerminal(int(in.Fd())) || size(stdout) == nil {
		return func() {}
	}
	press := func(key byte) {
		switch key {
		case 'r':
			s.Restart()
		case 'z':
			s.ScaleToZero()
		case 'q':
			_ = syscall.Kill(os.Getpid(), syscall.SIGINT) // a second one forces it, like Ctrl-C
		case '?':
			c.Screen.Line(keysHelp)
		}
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{})
	go func() {
		defer close(done)
		c.Screen.Line(keysHelp)
		if err := keyboard.Run(ctx, keyboard.Config{Terminal: in, Press: press}); err != nil {
			c.Log.Warn("keys are not read", zap.Error(err))
		}
	}()
	return func() { cancel(); <-done }
}
