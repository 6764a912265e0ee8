package main

import (
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"testing"
	"time"

	"github.com/sluice-proxy/sluice/internal/orphans"
)

// A program whose logs are not read serves requests and shuts down all the same.
func TestProcessOutlivesItsLogs(t *testing.T) {
	config := filepath.Join(t.TempDir(), "revisions.yaml")
	if err := os.WriteFile(config, []byte("revisions: []\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	_, port, _ := net.SplitHostPort(l.Addr().String())
	l.Close()
	reader, logs, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(binary, "-config", config, "-bind", "127.0.0.1", "-http1-port", port, "-http2-port", "0", "-drain", "1ms")
	cmd.Stdout, cmd.Stderr = logs, logs
	err = orphans.StartFor(t, cmd)
	logs.Close()
	reader.Close()
	if err != nil {
		t.Fatal(err)
	}
	client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}, Timeout: 10 * time.Second}
	await(t, "an answer", func() bool {
		resp, err := client.Get("http://127.0.0.1:" + port)
		if err == nil {
			resp.Body.Close()
		}
		return err == nil && resp.StatusCode == http.StatusNotFound
	})
	_ = cmd.Process.Signal(syscall.SIGTERM) // which is logged
	if err := cmd.Wait(); err != nil {
		t.Errorf("after SIGTERM: %v", err)
	}
}
