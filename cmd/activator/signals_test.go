package main

import (
	"net/http"
	"sync"
	"syscall"
	"testing"
)

// Each signal that asks the process to end makes it drain: requests in flight are answered, and so are those that come
// before all clients know. (SIGHUP used to end it at once: 40 to 60 of 60 requests were lost.)
func TestF9SignalsDrain(t *testing.T) {
	for _, sig := range []syscall.Signal{syscall.SIGHUP, syscall.SIGTERM, syscall.SIGINT} {
		t.Run(sig.String(), func(t *testing.T) { t.Parallel(); drainsAt(t, sig) })
	}
}

func drainsAt(t *testing.T, sig syscall.Signal) {
	p := start(t, "-drain", "100s")
	addr, asked := app(t, nil)
	p.configure(t, podAt(addr))
	url := p.addresses("requests")[0]
	probes := client(t, false)
	await(t, "readiness", func() bool { s, _, _ := get(probes, url, "User-Agent", "kube-probe/1"); return s == http.StatusOK })

	const n = 60
	failed := make(chan struct{})
	var clients sync.WaitGroup
	for range n {
		c := client(t, false)
		clients.Go(func() {
			for after := 0; after < 3; { // requests after the kubelet's probe has failed
				select {
				case <-failed:
					after++
				default:
				}
				if s, b, err := get(c, url); s != http.StatusOK {
					t.Errorf("lost: %d %q %v", s, b, err)
					return
				}
			}
		})
	}
	await(t, "load", func() bool { return asked.Load() > 2*n })
	if err := p.cmd.Process.Signal(sig); err != nil {
		t.Fatal(err)
	}
	await(t, "the kubelet's probe to fail", func() bool {
		s, _, err := get(probes, url, "User-Agent", "kube-probe/1")
		return s == http.StatusInternalServerError || err != nil // err: the process has ended, and the clients find lost requests
	})
	close(failed)
	clients.Wait()
	_ = p.cmd.Process.Signal(sig) // a second signal ends the time of draining
	if code := p.end(t); code != 0 {
		t.Errorf("exit code %d", code)
	}
}
