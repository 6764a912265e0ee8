package queueproxy

import (
	"io"
	"net/http"
	"testing"

	"github.com/sluice-proxy/sluice/proxy/proxytest"
)

// A policy around ours may answer at any time, which leaves no wait behind, no place in the queue and no slot taken.
func TestAnsweredByAnEmbedder(t *testing.T) {
	entered, leave := make(chan struct{}), make(chan struct{})
	addr := freeAddr(t)
	p := startPod(t, addr, func(c *Config) {
		c.ContainerConcurrency = 1
		c.WrapPolicy = proxytest.Impatient
	})
	get := func(path string) int {
		resp, err := p.client.Get(p.url + path)
		if err != nil {
			t.Error(err)
			return 0
		}
		defer resp.Body.Close()
		_, _ = io.Copy(io.Discard, resp.Body)
		return resp.StatusCode
	}
	listen := &p.policy.readiness.listen
	if got := get("/"); got != http.StatusTeapot {
		t.Errorf("%d for a request that waits for the app to start, want the embedder's answer", got)
	}
	eventually(t, "nobody waits for the app to start", func() bool {
		listen.mu.Lock()
		defer listen.mu.Unlock()
		return p.handler.InFlight() == 0 && (listen.current == nil || listen.current.waiters.Len() == 0)
	})
	serveApp(t, listenAgain(t, addr), http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/long" {
			close(entered)
			<-leave
		}
	}))
	p.policy.appIsUp()
	long := make(chan int)
	go func() { long <- get("/long") }()
	<-entered
	if got := get("/"); got != http.StatusTeapot {
		t.Errorf("%d, want the embedder's answer", got)
	}
	eventually(t, "the queue is empty", func() bool { return p.policy.breaker.Waiting() == 0 })
	close(leave)
	if got := <-long; got != http.StatusOK {
		t.Error(got)
	}
	eventually(t, "no slot is held", func() bool { return p.policy.breaker.InFlight() == 0 })
	for _, path := range []string{"/before", "/after"} {
		if got := get(path); got != http.StatusTeapot {
			t.Errorf("%s: %d", path, got)
		}
	}
	eventually(t, "no slot is held", func() bool { return p.policy.breaker.InFlight() == 0 })
	if got := get("/"); got != http.StatusOK {
		t.Errorf("%d once the slot is free", got)
	}
}
