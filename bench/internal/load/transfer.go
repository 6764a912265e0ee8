package load

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"sync"
	"time"

	"github.com/sluice-proxy/sluice/bench/internal/origin"
)

// Transfers describes the bodies of Transfer.
type Transfers struct {
	Addr        string
	Protocol    Protocol // HTTP1 or HTTP2
	Size        int64    // of a body
	Up          bool     // to the app instead of from it
	Connections int      // each transfers one body after the other
	Duration    time.Duration
}

// Transfer transfers bodies for x.Duration, and completes those that have begun; each connection transfers at least one.
func Transfer(ctx context.Context, x Transfers) (Result, error) {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	var (
		wg   sync.WaitGroup
		mu   sync.Mutex
		took []time.Duration
	)
	began := time.Now()
	for range x.Connections {
		wg.Go(func() {
			tr := transport(x.Protocol) // of its own: one transport would multiplex all bodies on one connection of HTTP/2
			defer tr.CloseIdleConnections()
			buffer := make([]byte, 256<<10)
			for {
				start := time.Now()
				if err := x.one(ctx, tr, buffer); err != nil {
					cancel(err)
					return
				}
				mu.Lock()
				took = append(took, time.Since(start))
				mu.Unlock()
				if time.Since(began) >= x.Duration {
					return
				}
			}
		})
	}
	wg.Wait()
	if err := context.Cause(ctx); err != nil {
		return Result{}, err
	}
	r := Result{Requests: len(took), Bytes: int64(len(took)) * x.Size, Elapsed: time.Since(began)}
	return r.summary(took), nil
}

// one transfers a body, and fails unless all of it has arrived.
func (x Transfers) one(ctx context.Context, tr *http.Transport, buffer []byte) error {
	size := strconv.FormatInt(x.Size, 10)
	t, method, want := Target{Addr: x.Addr, Protocol: x.Protocol, Path: origin.Down + size}, http.MethodGet, x.Size
	var body io.Reader
	if x.Up {
		t.Path, method, want = origin.Up+size, http.MethodPost, int64(len(origin.Hello))
		body = io.LimitReader(filler{}, x.Size)
	}
	r, err := newRequest(ctx, method, t, body)
	if err != nil {
		return err
	}
	if x.Up {
		r.ContentLength = x.Size
	}
	resp, err := tr.RoundTrip(r)
	if err != nil {
		return err
	}
	defer func() { _ = resp.Body.Close() }()
	n, err := io.CopyBuffer(struct{ io.Writer }{io.Discard}, resp.Body, buffer)
	if err != nil {
		return err
	}
	if resp.StatusCode != http.StatusOK || n != want {
		return fmt.Errorf("%s with %d bytes, expected 200 with %d", resp.Status, n, want)
	}
	return nil
}

// filler is an endless body: it leaves the reader's buffer as it is.
type filler struct{}

func (filler) Read(p []byte) (int, error) { return len(p), nil }
