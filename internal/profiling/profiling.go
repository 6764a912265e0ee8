package profiling

import (
	"fmt"
	"io"
	"net/http"
	"os"
	"runtime"
	"runtime/pprof"
	"runtime/trace"
	"strconv"
	"strings"
	"time"
)

const prefix = "/debug/pprof/"

// Handler returns a stateless handler of everything below /debug/pprof/.
func Handler() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc(prefix, index)
	mux.HandleFunc(prefix+"{name}", named)
	mux.HandleFunc(prefix+"cmdline", func(w http.ResponseWriter, _ *http.Request) {
		_, _ = io.WriteString(w, strings.Join(os.Args, "\x00"))
	})
	mux.HandleFunc(prefix+"profile", func(w http.ResponseWriter, r *http.Request) {
		during(w, r, 30, "profile", pprof.StartCPUProfile, pprof.StopCPUProfile)
	})
	mux.HandleFunc(prefix+"trace", func(w http.ResponseWriter, r *http.Request) {
		during(w, r, 1, "trace", trace.Start, trace.Stop)
	})
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("X-Content-Type-Options", "nosniff")
		w.Header().Set("Content-Type", "text/plain; charset=utf-8")
		mux.ServeHTTP(w, r)
	})
}

func index(w http.ResponseWriter, r *http.Request) {
	if r.URL.Path != prefix {
		fail(w, http.StatusNotFound, "Unknown profile")
		return
	}
	w.Header().Set("Content-Type", "text/html; charset=utf-8")
	_, _ = io.WriteString(w, "<!DOCTYPE html><title>"+prefix+"</title><ul>\n")
	for _, p := range pprof.Profiles() {
		_, _ = fmt.Fprintf(w, "<li><a href='%s?debug=1'>%[1]s</a> %d\n", p.Name(), p.Count())
	}
	for _, name := range []string{"cmdline", "profile", "trace"} {
		_, _ = fmt.Fprintf(w, "<li><a href='%s'>%[1]s</a>\n", name)
	}
	_, _ = io.WriteString(w, "<li><a href='goroutine?debug=2'>all stacks</a>\n</ul>\n")
}

// fail writes an error so that go tool pprof prints it, too.
func fail(w http.ResponseWriter, status int, text string) {
	w.Header().Set("X-Go-Pprof", "1")
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	w.Header().Del("Content-Disposition")
	w.WriteHeader(status)
	_, _ = fmt.Fprintln(w, text)
}

func file(w http.ResponseWriter, name string) {
	w.Header().Set("Content-Type", "application/octet-stream")
	w.Header().Set("Content-Disposition", `attachment; filename="`+name+`"`)
}

// during sends what start writes until stop, which it calls after the seconds or when the client disconnects.
func during(w http.ResponseWriter, r *http.Request, seconds float64, name string, start func(io.Writer) error, stop func()) {
	if n, err := strconv.ParseFloat(r.URL.Query().Get("seconds"), 64); err == nil && n > 0 {
		seconds = n
	}
	file(w, name)
	if err := start(w); err != nil {
		fail(w, http.StatusInternalServerError, err.Error())
		return
	}
	defer stop()
	t := time.NewTimer(time.Duration(seconds * float64(time.Second)))
	defer t.Stop()
	select {
	case <-t.C:
	case <-r.Context().Done():
	}
}

// named serves a profile of runtime/pprof.
func named(w http.ResponseWriter, r *http.Request) {
	p := pprof.Lookup(r.PathValue("name"))
	if p == nil {
		fail(w, http.StatusNotFound, "Unknown profile")
		return
	}
	q := r.URL.Query()
	debug, _ := strconv.Atoi(q.Get("debug"))
	if q.Has("seconds") {
		fail(w, http.StatusBadRequest, "seconds applies to profile and trace only; compare other profiles with go tool pprof -diff_base")
		return
	}
	if gc, _ := strconv.Atoi(q.Get("gc")); gc > 0 && p.Name() == "heap" {
		runtime.GC()
	}
	if debug == 0 {
		file(w, p.Name())
	}
	_ = p.WriteTo(w, debug) // fails only if the client has disconnected
}
