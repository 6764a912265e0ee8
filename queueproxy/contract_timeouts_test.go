package queueproxy

import (
	"io"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/coder/websocket"

	"github.com/sluice-proxy/sluice/internal/contracttest"
	"github.com/sluice-proxy/sluice/proxy"
)

// drip answers, or reads, in many steps over about 1.8 s.
func drip(w http.ResponseWriter, r *http.Request) {
	if r.Method == http.MethodPost {
		n, _ := io.Copy(io.Discard, r.Body)
		_, _ = io.WriteString(w, strings.Repeat("x", int(n)))
		return
	}
	for range 30 {
		_, _ = io.WriteString(w, "x")
		_ = http.NewResponseController(w).Flush()
		select {
		case <-time.After(60 * time.Millisecond):
		case <-r.Context().Done():
			return
		}
	}
}

// slowBody is a request's body of 30 bytes over 1.8 s.
func slowBody(t *testing.T) io.Reader {
	r, w := io.Pipe()
	done := make(chan struct{})
	go func() {
		defer close(done)
		defer w.Close()
		for range 30 {
			if _, err := io.WriteString(w, "x"); err != nil {
				return
			}
			time.Sleep(60 * time.Millisecond)
		}
	}()
	t.Cleanup(func() { r.Close(); <-done })
	return r
}

func TestContractTimeouts(t *testing.T) {
	const within = 1200 * time.Millisecond // less than a drip takes, and a lot more than a drop
	start := func(t *testing.T, timeouts proxy.Timeouts) *pod {
		return startPod(t, startApp(t, http.HandlerFunc(drip)), func(c *Config) { c.Timeouts = timeouts })
	}
	whole := func(t *testing.T, p *pod, reason string) {
		t.Helper()
		var both sync.WaitGroup
		for _, client := range []*http.Client{p.client, p.h2c} {
			both.Go(func() {
				resp, err := client.Do(p.request("/"))
				if err != nil {
					t.Error(err)
					return
				}
				body, err := io.ReadAll(resp.Body)
				resp.Body.Close()
				if cut := reason != ""; (err != nil) != cut || !cut && len(body) != 30 {
					t.Errorf("HTTP/%d: %d bytes, %v; want it cut: %v", resp.ProtoMajor, len(body), err, cut)
				}
			})
		}
		both.Wait()
	}
	contracttest.Follow(t, []contracttest.Rule{
		{Says: "REVISION_TIMEOUT_SECONDS bounds the whole request", Test: func(t *testing.T) {
			t.Parallel()
			whole(t, start(t, proxy.Timeouts{Total: within}), "timeout_total")
		}},
		{Says: "REVISION_RESPONSE_START_TIMEOUT_SECONDS bounds the first byte alone", Test: func(t *testing.T) {
			t.Parallel()
			whole(t, start(t, proxy.Timeouts{ResponseStart: within}), "")
		}},
		{Says: "REVISION_IDLE_TIMEOUT_SECONDS is not used up while the answer flows", Test: func(t *testing.T) {
			t.Parallel()
			whole(t, start(t, proxy.Timeouts{Idle: within}), "")
		}},
		{Says: "nor while the request does", Test: func(t *testing.T) {
			t.Parallel()
			p := start(t, proxy.Timeouts{Idle: within})
			var both sync.WaitGroup
			for _, client := range []*http.Client{p.client, p.h2c} {
				req := p.request("/")
				req.Method, req.Body = http.MethodPost, io.NopCloser(slowBody(t))
				both.Go(func() {
					if got := p.do(client, req); got.status != 200 || len(got.body) != 30 {
						t.Errorf("h2c %v: %d %q", client == p.h2c, got.status, got.body)
					}
				})
			}
			both.Wait()
		}},
		{Says: "0 is off", Test: func(t *testing.T) {
			t.Parallel()
			whole(t, start(t, proxy.Timeouts{}), "")
		}},
		{Says: "the first byte behind a 101 is the start of the answer, and what flows after it is activity", Test: func(t *testing.T) {
			t.Parallel()
			p := startPod(t, startApp(t, websocketApp(nil)), func(c *Config) {
				c.Timeouts = proxy.Timeouts{ResponseStart: within, Idle: within}
			})
			ws, _, err := websocket.Dial(t.Context(), p.url+"/ws", nil)
			if err != nil {
				t.Fatal(err)
			}
			defer func() { _ = ws.CloseNow() }()
			for range 30 {
				time.Sleep(within / 20)
				if err := ws.Write(t.Context(), websocket.MessageText, []byte("x")); err != nil {
					t.Fatal(err)
				}
				if _, _, err := ws.Read(t.Context()); err != nil {
					t.Fatal(err)
				}
			}
		}},
		{Says: "the texts and statuses", Shown: contracttest.By(TestContractAnswers)},
		{Says: "waiting and start count, unless there is a queue deadline", Shown: contracttest.By(TestWaitingCountsAgainstTheTimeout, TestRequestWaitsForTheAppToStart, TestPeers16QueueDeadline)},
	})
}
