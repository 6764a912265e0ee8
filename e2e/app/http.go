package main

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"github.com/coder/websocket"
)

// app counts its requests.
type app struct {
	listened     time.Time
	inFlight     atomic.Int64
	max          atomic.Int64
	total        atomic.Int64
	gone         atomic.Int64 // requests whose client disconnected before the answer
	unreadyUntil atomic.Int64 // wall clock, ns
	saidReady    atomic.Int64
	mux          *http.ServeMux
}

func newApp(listened time.Time) *app {
	openJournal := sync.OnceValue(newJournal)
	a := &app{listened: listened, mux: http.NewServeMux()}
	if d, err := time.ParseDuration(os.Getenv("APP_UNREADY")); err == nil {
		a.unreadyUntil.Store(listened.Add(d).UnixNano())
	}
	a.mux.HandleFunc("/stats", a.stats)
	a.mux.HandleFunc("/ready", a.ready)
	a.mux.HandleFunc("/unready", a.unready)
	for path, h := range map[string]http.HandlerFunc{
		"/": ok, "/sleep": a.sleep, "/stubborn": stubborn, "/headers": headers, "/upload": upload, "/download": download,
		"/sse": events, "/ws": echoMessages, "/die": die, "/echo": echo, "/files/": files,
		"/event": func(w http.ResponseWriter, r *http.Request) { openJournal().event(w, r) },
	} {
		a.mux.Handle(path, a.counted(h))
	}
	return a
}

func (a *app) ServeHTTP(w http.ResponseWriter, r *http.Request) { a.mux.ServeHTTP(w, r) }

// counted counts h's requests and adds the counters to the answer's head.
func (a *app) counted(h http.HandlerFunc) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		entered := time.Now()
		n := a.inFlight.Add(1)
		defer a.inFlight.Add(-1)
		a.total.Add(1)
		for m := a.max.Load(); n > m && !a.max.CompareAndSwap(m, n); m = a.max.Load() {
		}
		head := w.Header()
		head.Set("X-Pid", strconv.Itoa(os.Getpid()))
		head.Set("X-Revision", os.Getenv("K_REVISION"))
		head.Set("X-In-Flight", strconv.FormatInt(n, 10))
		head.Set("X-Listen-At", strconv.FormatInt(a.listened.UnixNano(), 10))
		head.Set("X-Entered-At", strconv.FormatInt(entered.UnixNano(), 10))
		h(w, r)
	})
}

func (a *app) stats(w http.ResponseWriter, _ *http.Request) {
	_ = json.NewEncoder(w).Encode(map[string]int64{
		"PID": int64(os.Getpid()), "InFlight": a.inFlight.Load(), "Max": a.max.Load(), "Total": a.total.Load(), "Gone": a.gone.Load(),
		"SaidReady": a.saidReady.Load(),
	})
}

func (a *app) ready(w http.ResponseWriter, _ *http.Request) {
	if time.Now().UnixNano() < a.unreadyUntil.Load() {
		http.Error(w, "not now", http.StatusServiceUnavailable)
		return
	}
	a.saidReady.Add(1)
}

func (a *app) unready(_ http.ResponseWriter, r *http.Request) {
	a.unreadyUntil.Store(time.Now().Add(duration(r, "for")).UnixNano())
}

func (a *app) sleep(w http.ResponseWriter, r *http.Request) {
	select {
	case <-time.After(duration(r, "d")):
		ok(w, r)
	case <-r.Context().Done():
		a.gone.Add(1)
	}
}

// stubborn goes on when its client has gone.
func stubborn(w http.ResponseWriter, r *http.Request) {
	time.Sleep(duration(r, "d"))
	ok(w, r)
}

func ok(w http.ResponseWriter, _ *http.Request) {
	w.Header().Set("X-Answered-At", strconv.FormatInt(time.Now().UnixNano(), 10))
	_, _ = io.WriteString(w, "ok\n")
}

func die(http.ResponseWriter, *http.Request) { os.Exit(3) }

func headers(w http.ResponseWriter, r *http.Request) {
	_ = json.NewEncoder(w).Encode(map[string]any{"Host": r.Host, "Proto": r.Proto, "Target": r.RequestURI, "Header": r.Header})
}

func upload(w http.ResponseWriter, r *http.Request) {
	n, err := io.Copy(io.Discard, r.Body)
	if err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	fmt.Fprintln(w, n)
}

func download(w http.ResponseWriter, r *http.Request) {
	n, err := strconv.ParseInt(r.FormValue("n"), 10, 64)
	if err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	w.Header().Set("Content-Length", strconv.FormatInt(n, 10))
	buf := make([]byte, 64<<10)
	for n > 0 {
		wrote, err := w.Write(buf[:min(n, int64(len(buf)))])
		if err != nil {
			return
		}
		n -= int64(wrote)
	}
}

func events(w http.ResponseWriter, r *http.Request) {
	n, _ := strconv.Atoi(r.FormValue("n"))
	w.Header().Set("Content-Type", "text/event-stream")
	for i := range n {
		if i > 0 {
			select {
			case <-time.After(duration(r, "every")):
			case <-r.Context().Done():
				return
			}
		}
		fmt.Fprintf(w, "data: %d %d\n\n", i, time.Now().UnixNano())
		_ = http.NewResponseController(w).Flush()
	}
}

// echo sends each part of the body back as it comes.
func echo(w http.ResponseWriter, r *http.Request) {
	flow := http.NewResponseController(w)
	_ = flow.EnableFullDuplex() // HTTP/2 always is
	for buf := make([]byte, 32<<10); ; {
		n, err := r.Body.Read(buf)
		if _, failed := w.Write(buf[:n]); failed != nil {
			return
		}
		if err != nil {
			return
		}
		_ = flow.Flush()
	}
}

func files(w http.ResponseWriter, r *http.Request) {
	http.FileServer(http.Dir(os.Getenv("FILES"))).ServeHTTP(w, r)
}

func echoMessages(w http.ResponseWriter, r *http.Request) {
	c, err := websocket.Accept(w, r, nil)
	if err != nil {
		return // Accept has sent an answer
	}
	defer func() { _ = c.CloseNow() }()
	c.SetReadLimit(-1)
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

func duration(r *http.Request, name string) time.Duration {
	d, _ := time.ParseDuration(r.FormValue(name))
	return d
}
