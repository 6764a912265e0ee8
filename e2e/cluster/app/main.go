package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/signal"
	"syscall"
	"time"
)

// forever is a READY_AFTER of "never".
const forever = 365 * 24 * time.Hour

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM)
	defer stop()
	if err := run(ctx, os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, "app:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, args []string) error {
	if len(args) == 2 && args[0] == "probe" {
		return probe(ctx, args[1])
	}
	listenAfter, err := duration(os.Getenv("LISTEN_AFTER"))
	if err != nil {
		return fmt.Errorf("LISTEN_AFTER: %w", err)
	}
	readyAfter, err := duration(os.Getenv("READY_AFTER"))
	if err != nil {
		return fmt.Errorf("READY_AFTER: %w", err)
	}
	readyAt := time.Now().Add(readyAfter)
	select {
	case <-time.After(listenAfter):
	case <-ctx.Done():
		return nil // a signal came before it listened
	}
	l, err := net.Listen("tcp", ":"+cmp.Or(os.Getenv("PORT"), "8080"))
	if err != nil {
		return err
	}
	return serve(ctx, l, readyAt)
}

func serve(ctx context.Context, l net.Listener, readyAt time.Time) error {
	s := &http.Server{Handler: newApp(time.Now(), readyAt), ReadHeaderTimeout: time.Minute, Protocols: new(http.Protocols)}
	s.Protocols.SetHTTP1(true)
	s.Protocols.SetUnencryptedHTTP2(true)
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		<-ctx.Done()
		// Connections that are still open end with the process: the pod's grace period is long over.
		grace, cancel := context.WithTimeout(context.Background(), 10*time.Minute)
		defer cancel()
		_ = s.Shutdown(grace)
	}()
	if err := s.Serve(l); !errors.Is(err, http.ErrServerClosed) {
		return err
	}
	<-ended
	return nil
}

func probe(ctx context.Context, url string) error {
	ctx, cancel := context.WithTimeout(ctx, time.Second)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return err
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return err
	}
	defer func() { _ = resp.Body.Close() }()
	if resp.StatusCode != http.StatusOK {
		return errors.New(resp.Status)
	}
	return nil
}

func duration(s string) (time.Duration, error) {
	switch s {
	case "":
		return 0, nil
	case "never":
		return forever, nil
	}
	return time.ParseDuration(s)
}
