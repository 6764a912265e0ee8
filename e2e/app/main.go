package main

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"strconv"
	"syscall"
	"time"
)

func main() {
	if err := run(); err != nil {
		fmt.Fprintln(os.Stderr, "app:", err)
		os.Exit(1)
	}
}

func run() error {
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM, os.Interrupt)
	defer stop()
	if status, err := strconv.Atoi(os.Getenv("APP_EXIT")); err == nil {
		fmt.Fprintln(os.Stderr, "app: cannot open the database")
		os.Exit(status)
	}
	if err := leaveNote("", time.Time{}); err != nil {
		return err
	}
	if generation := os.Getenv("APP_FORK"); generation != "" {
		if done, err := fork(generation); done || err != nil {
			return err
		}
	}
	if err := waitToListen(ctx); err != nil {
		return nil // a signal came before it listened
	}
	l, err := net.Listen("tcp", "127.0.0.1:"+cmp.Or(os.Getenv("APP_PORT"), os.Getenv("PORT")))
	if err != nil {
		return err
	}
	listened := time.Now()
	if err := leaveNote(l.Addr().String(), listened); err != nil {
		return err
	}
	if os.Getenv("APP_GRPC") != "" {
		return serveGRPC(ctx, l)
	}
	return serveHTTP(ctx, l, listened)
}

func waitToListen(ctx context.Context) error {
	after := os.Getenv("APP_LISTEN_AFTER")
	if after == "" {
		return nil
	}
	if after == "never" {
		<-ctx.Done()
		return ctx.Err()
	}
	d, err := time.ParseDuration(after)
	if err != nil {
		return err
	}
	select {
	case <-time.After(d):
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// fork starts a grandchild that has left the process group and whose parent has ended: only a subreaper finds it.
func fork(generation string) (done bool, err error) {
	start := func(next string, wait bool) error {
		exe, err := os.Executable()
		if err != nil {
			return err
		}
		cmd := exec.Command(exe)
		cmd.Env = append(os.Environ(), "APP_FORK="+next)
		cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
		if err := cmd.Start(); err != nil || !wait {
			return err
		}
		return cmd.Wait()
	}
	switch generation {
	case "grandchild":
		signal.Ignore(syscall.SIGTERM, syscall.SIGHUP, os.Interrupt)
		time.Sleep(10 * time.Minute)
		return true, nil
	case "child":
		return true, start("grandchild", false)
	}
	return false, start("child", true)
}

// note is the content of PID.json.
type note struct {
	PID      int
	Addr     string // empty: not listening yet
	ListenAt int64  // wall clock, ns
	Revision string
	Fork     string
}

func leaveNote(addr string, at time.Time) error {
	dir := os.Getenv("APP_DIR")
	if dir == "" {
		return nil
	}
	n := note{PID: os.Getpid(), Addr: addr, Revision: os.Getenv("K_REVISION"), Fork: os.Getenv("APP_FORK")}
	if !at.IsZero() {
		n.ListenAt = at.UnixNano()
	}
	b, err := json.Marshal(n)
	if err != nil {
		return err
	}
	name := filepath.Join(dir, strconv.Itoa(os.Getpid())+".json")
	if err := os.WriteFile(name+".new", b, 0o600); err != nil {
		return err
	}
	return os.Rename(name+".new", name)
}

func serveHTTP(ctx context.Context, l net.Listener, listened time.Time) error {
	s := &http.Server{Handler: newApp(listened), ReadHeaderTimeout: time.Minute, Protocols: new(http.Protocols)}
	s.Protocols.SetHTTP1(true)
	s.Protocols.SetUnencryptedHTTP2(os.Getenv("APP_HTTP1") == "")
	go func() {
		<-ctx.Done()
		grace, cancel := context.WithTimeout(context.Background(), time.Minute)
		defer cancel()
		_ = s.Shutdown(grace) // connections that are open after the grace period end with the process
	}()
	if err := s.Serve(l); !errors.Is(err, http.ErrServerClosed) {
		return err
	}
	return nil
}
