package proxy

import (
	"context"
	"io"
	"net"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"
)

// net/http's own pool gives a connection back before the request that was answered on it is over, so that the end of that
// request can still cut it, and the next one with it. A Handler's pool gets it back from a request that is over: requests
// that end at any moment, before their empty answers or just with them, cut no other.
func TestC14AnEndedRequestCutsNoOther(t *testing.T) {
	app := &http.Server{Handler: http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { _, _ = io.Copy(io.Discard, r.Body) })}
	serve := func(s *http.Server) (addr string) {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		done := make(chan struct{})
		go func() { defer close(done); _ = s.Serve(l) }()
		t.Cleanup(func() { _ = s.Close(); <-done })
		return l.Addr().String()
	}
	h, err := New(Config{Name: "x", Policy: toAddr(serve(app))})
	if err != nil {
		t.Fatal(err)
	}
	front := NewServer(h, ServerConfig{}) // net/http's on both sides
	url := "http://" + serve(front)
	t.Cleanup(func() {
		if err := h.Drain(context.Background()); err != nil {
			t.Error(err)
		}
		h.Close()
	})

	const clients, requests = 16, 200
	stays, leaves := new(http.Transport), &http.Transport{MaxIdleConnsPerHost: clients}
	stays.MaxIdleConnsPerHost = clients
	t.Cleanup(func() { stays.CloseIdleConnections(); leaves.CloseIdleConnections() })
	var all sync.WaitGroup
	for i := range clients {
		all.Go(func() {
			for n := range requests {
				if (i+n)%2 == 0 {
					ctx, cancel := context.WithTimeout(t.Context(), time.Duration(n%40)*50*time.Microsecond)
					_, _ = post(ctx, leaves, url)
					cancel()
				} else if status, err := post(t.Context(), stays, url); err != nil || status != http.StatusOK {
					t.Errorf("a request that stays: %d %v", status, err)
				}
			}
		})
	}
	all.Wait()
}

func post(ctx context.Context, tr *http.Transport, url string) (status int, err error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, url, strings.NewReader("some"))
	if err != nil {
		return 0, err
	}
	resp, err := tr.RoundTrip(req)
	if err != nil {
		return 0, err
	}
	return resp.StatusCode, resp.Body.Close()
}

// toAddr sends each request to one address, once.
type toAddr string

func (a toAddr) Begin(*Request) Exchange { return a }
func (a toAddr) Next(_ *Request, at Attempt) (Decision, error) {
	return Forward(Upstream{Addr: string(a), Proto: HTTP1}), at.Cause
}
func (toAddr) Response(*Request, *Response) bool { return true }
func (toAddr) Release(Upstream, AttemptResult)   {}
func (toAddr) End(*Request, Result)              {}
