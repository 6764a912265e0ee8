package cluster_test

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"time"

	"github.com/coder/websocket"

	"github.com/sluice-proxy/sluice/e2e/cluster/payload"
)

var protocolCases = []testCase{
	{name: "h2c from zero", run: http2InTheClear},
	{name: "gRPC: unary, both streams, bidi, health", run: grpcKinds},
	{name: "gRPC: status of a call that times out in the activator", needs: activator, run: grpcTimeout},
	{name: "SSE arrives as it is sent", run: serverSentEvents},
	{name: "websocket for minutes", long: true, run: longWebsocket},
	{name: "websocket with data outlives start and idle timeouts", needs: both, run: busyWebsocket},
	{name: "large body up", long: true, run: largeUp},
	{name: "large body down", long: true, run: largeDown},
}

func http2InTheClear(ctx context.Context, w *world) (string, error) {
	r, err := w.deploy(ctx, service{name: "h2c", port: "h2c"})
	if err != nil {
		return "", err
	}
	t := r.transport()
	t.Protocols = new(http.Protocols)
	t.Protocols.SetUnencryptedHTTP2(true)
	defer t.CloseIdleConnections()
	a, err := send(ctx, &http.Client{Transport: toRevision{r, t}}, http.MethodGet, r.url("/head"), nil)
	if err == nil {
		err = a.want(http.StatusOK)
	}
	if err == nil && !strings.Contains(a.body, `"HTTP/2.0"`) {
		err = fmt.Errorf("the app got another protocol: %s", a.body)
	}
	return "", err
}

// serverSentEvents checks that each event comes soon after it was sent, relative to the first one: long before the end of the
// answer, even on a busy machine.
func serverSentEvents(ctx context.Context, w *world) (string, error) {
	const events, every = 30, 100 * time.Millisecond
	r, err := w.deploy(ctx, service{name: "sse", pods: 1})
	if err != nil {
		return "", err
	}
	c := r.client()
	defer c.CloseIdleConnections()
	resp, err := c.Get(r.url(fmt.Sprintf("/sse?n=%d&every=%v", events, every)))
	if err != nil {
		return "", err
	}
	defer func() { _ = resp.Body.Close() }()
	var late time.Duration
	var offset int64
	n := 0
	for lines := bufio.NewScanner(resp.Body); lines.Scan(); {
		var i int
		var sent int64
		if _, err := fmt.Sscanf(lines.Text(), "data: %d %d", &i, &sent); err != nil {
			continue
		}
		if n++; n == 1 {
			offset = time.Now().UnixNano() - sent
		}
		late = max(late, time.Duration(time.Now().UnixNano()-sent-offset))
	}
	if n != events || late > events*every/3 {
		return "", fmt.Errorf("%d of %d events, the latest %v after it was sent", n, events, late)
	}
	return "", nil
}

func longWebsocket(ctx context.Context, w *world) (string, error) {
	r, err := w.deploy(ctx, service{name: "ws", pods: 1})
	if err != nil {
		return "", err
	}
	return fmt.Sprint(options.longSession), chat(ctx, r, options.longSession, 2*time.Second)
}

func busyWebsocket(ctx context.Context, w *world) (string, error) {
	r, err := w.deploy(ctx, service{name: "ws-busy", pods: 1, start: 2 * time.Second, idle: 3 * time.Second, timeout: time.Minute})
	if err != nil {
		return "", err
	}
	return "", chat(ctx, r, 12*time.Second, 500*time.Millisecond)
}

// chat sends a message now and then, and checks its echo.
func chat(ctx context.Context, r *revision, session, every time.Duration) error {
	client := r.client()
	begun := time.Now()
	c, _, err := websocket.Dial(ctx, strings.Replace(r.url("/ws"), "http", "ws", 1), &websocket.DialOptions{HTTPClient: client})
	if err != nil {
		return err
	}
	defer func() { _ = c.CloseNow() }()
	for n := 0; time.Since(begun) < session; n++ {
		sent := fmt.Sprint("message ", n)
		if err := c.Write(ctx, websocket.MessageText, []byte(sent)); err != nil {
			return fmt.Errorf("after %v: %w", time.Since(begun), err)
		}
		_, got, err := c.Read(ctx)
		if err != nil {
			return fmt.Errorf("after %v: %w", time.Since(begun), err)
		}
		if string(got) != sent {
			return fmt.Errorf("sent %q, got %q", sent, got)
		}
		time.Sleep(every)
	}
	return c.Close(websocket.StatusNormalClosure, "")
}

func largeUp(ctx context.Context, w *world) (string, error) {
	w.load.Lock()
	defer w.load.Unlock()
	r, err := w.deploy(ctx, service{name: "up", pods: 1})
	if err != nil {
		return "", err
	}
	_, sum, err := payload.Sum(payload.NewReader(options.large))
	if err != nil {
		return "", err
	}
	a, err := r.send(ctx, http.MethodPost, "/upload", payload.NewReader(options.large))
	if err == nil {
		err = a.want(http.StatusOK)
	}
	if err != nil {
		return "", err
	}
	if want := fmt.Sprintf("%d %08x\n", options.large, sum); a.body != want {
		err = fmt.Errorf("the app got %q, sent was %q", a.body, want)
	}
	return throughput(a.took), err
}

func largeDown(ctx context.Context, w *world) (string, error) {
	w.load.Lock()
	defer w.load.Unlock()
	r, err := w.deploy(ctx, service{name: "down", pods: 1})
	if err != nil {
		return "", err
	}
	c := r.client()
	defer c.CloseIdleConnections()
	begun := time.Now()
	resp, err := c.Get(r.url(fmt.Sprint("/download?n=", options.large)))
	if err != nil {
		return "", err
	}
	defer func() { _ = resp.Body.Close() }()
	n, sum, err := payload.Sum(resp.Body)
	took := time.Since(begun)
	_, want, _ := payload.Sum(payload.NewReader(options.large))
	if n != options.large || sum != want {
		err = errors.Join(err, fmt.Errorf("got %d bytes with sum %08x, not %d with %08x", n, sum, options.large, want))
	}
	return throughput(took), err
}

func throughput(took time.Duration) string {
	return fmt.Sprintf("%.0f MiB in %.1f s", float64(options.large)/(1<<20), took.Seconds())
}
