package main

import (
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"strconv"
	"strings"
	"sync/atomic"
	"time"

	"github.com/coder/websocket"

	"github.com/sluice-proxy/sluice/e2e/cluster/payload"
)

// app counts its requests.
type app struct {
	listened  time.Time
	mux       *http.ServeMux
	grpc      http.Handler
	events    *events
	inFlight  atomic.Int64
	max       atomic.Int64
	total     atomic.Int64
	readyAt   atomic.Int64 // wall clock, ns
	saidReady atomic.Bool
}

func newApp(listened, readyAt time.Time) *app {
	a := &app{listened: listened, mux: http.NewServeMux(), grpc: newGRPC(), events: newEvents()}
	a.readyAt.Store(readyAt.UnixNano())
	a.mux.HandleFunc("/stats", a.stats)
	a.mux.HandleFunc("/ready", a.ready)
	a.mux.HandleFunc("/unready", a.unready)
	for path, h := range map[string]http.HandlerFunc{
		"/": hello, "/head": head, "/upload": upload, "/download": download, "/sse": serverSent, "/stall": stall,
		"/ws": echo, "/events": a.events.ServeHTTP, "/beside": beside, "/die": func(http.ResponseWriter, *http.Request) { os.Exit(3) },
	} {
		a.mux.Handle(path, a.counted(h))
	}
	return a
}

func (a *app) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if r.ProtoMajor == 2 && strings.HasPrefix(r.Header.Get("Content-Type"), "application/grpc") {
		a.counted(a.grpc.ServeHTTP).ServeHTTP(w, r)
		return
	}
	a.mux.ServeHTTP(w, r)
}

// counted counts h's requests and adds the counters to the answer's head.
func (a *app) counted(h http.HandlerFunc) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		entered := time.Now()
		n := a.inFlight.Add(1)
		defer a.inFlight.Add(-1)
		a.total.Add(1)
		for m := a.max.Load(); n > m && !a.max.CompareAndSwap(m, n); m = a.max.Load() {
		}
		set := w.Header().Set
		set("X-Pod", os.Getenv("HOSTNAME"))
		set("X-In-Flight", strconv.FormatInt(n, 10))
		set("X-Listen-At", strconv.FormatInt(a.listened.UnixNano(), 10))
		set("X-Entered-At", strconv.FormatInt(entered.UnixNano(), 10))
		set("X-Via", r.Header.Get("K-Proxy-Request"))
		if !a.saidReady.Load() {
			set("X-Early", "true")
		}
		h(w, r)
	})
}

func (a *app) stats(w http.ResponseWriter, _ *http.Request) {
	_ = json.NewEncoder(w).Encode(map[string]any{
		"InFlight": a.inFlight.Load(), "Max": a.max.Load(), "Total": a.total.Load(), "Events": a.events.list(),
	})
}

func (a *app) ready(w http.ResponseWriter, _ *http.Request) {
	if time.Now().UnixNano() < a.readyAt.Load() {
		http.Error(w, "not now", http.StatusServiceUnavailable)
		return
	}
	a.saidReady.Store(true)
}

func (a *app) unready(_ http.ResponseWriter, r *http.Request) {
	a.readyAt.Store(time.Now().Add(durationOf(r, "for")).UnixNano())
}

func hello(w http.ResponseWriter, r *http.Request) {
	if wait(r, durationOf(r, "sleep")) {
		_, _ = io.WriteString(w, "ok\n")
	}
}

func head(w http.ResponseWriter, r *http.Request) {
	_ = json.NewEncoder(w).Encode(map[string]any{"Host": r.Host, "Proto": r.Proto, "Target": r.RequestURI, "Header": r.Header})
}

func upload(w http.ResponseWriter, r *http.Request) {
	n, sum, err := payload.Sum(r.Body)
	if err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	_, _ = fmt.Fprintf(w, "%d %08x\n", n, sum)
}

func download(w http.ResponseWriter, r *http.Request) {
	n, err := strconv.ParseInt(r.FormValue("n"), 10, 64)
	if err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	w.Header().Set("Content-Length", strconv.FormatInt(n, 10))
	_, _ = io.Copy(w, payload.NewReader(n))
}

func serverSent(w http.ResponseWriter, r *http.Request) {
	n, _ := strconv.Atoi(r.FormValue("n"))
	w.Header().Set("Content-Type", "text/event-stream")
	for i := range n {
		if i > 0 && !wait(r, durationOf(r, "every")) {
			return
		}
		_, _ = fmt.Fprintf(w, "data: %d %d\n\n", i, time.Now().UnixNano())
		_ = http.NewResponseController(w).Flush()
	}
}

func stall(w http.ResponseWriter, r *http.Request) {
	_, _ = io.WriteString(w, "first\n")
	_ = http.NewResponseController(w).Flush()
	wait(r, time.Hour)
}

func echo(w http.ResponseWriter, r *http.Request) {
	c, err := websocket.Accept(w, r, nil)
	if err != nil {
		return // Accept has sent an answer
	}
	defer func() { _ = c.CloseNow() }()
	for {
		kind, message, err := c.Read(r.Context())
		if err != nil {
			return
		}
		if err := c.Write(r.Context(), kind, message); err != nil {
			return
		}
	}
}

func beside(w http.ResponseWriter, r *http.Request) {
	c, err := (&net.Dialer{}).DialContext(r.Context(), "tcp", net.JoinHostPort("localhost", r.FormValue("port")))
	if err != nil {
		http.Error(w, err.Error(), http.StatusInternalServerError)
		return
	}
	_ = c.Close()
}

// wait reports whether the client is still connected after d.
func wait(r *http.Request, d time.Duration) bool {
	select {
	case <-time.After(d):
		return true
	case <-r.Context().Done():
		return false
	}
}

func durationOf(r *http.Request, name string) time.Duration {
	d, _ := time.ParseDuration(r.URL.Query().Get(name))
	return d
}
