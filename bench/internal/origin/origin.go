package origin

import (
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"time"
)

// Paths of requests, and the answer.
const (
	Hello   = "Hello World!"
	Small   = "/hello"
	Slow    = "/slow"
	Hold    = "/hold"
	Release = "/release"
	Down    = "/down/" // and a number of bytes
	Up      = "/up/"   // and a number of bytes
	Unary   = "/bench.Echo/Unary"
	Stream  = "/bench.Echo/Stream"

	GRPC = "application/grpc" // Content-Type of calls

	// Delay of Slow.
	Delay = 10 * time.Millisecond
)

// chunk is the size of reads and writes.
const chunk = 256 << 10

// Handler is the app. The zero value is none; use New.
type Handler struct {
	mux  http.ServeMux
	gate chan struct{} // closed by the first Release
	open sync.Once
}

// New makes an app that holds requests until the first Release.
func New() *Handler {
	h := &Handler{gate: make(chan struct{})}
	h.mux.HandleFunc("GET "+Small, hello)
	h.mux.HandleFunc("GET "+Slow, slow)
	h.mux.HandleFunc("GET "+Hold, h.hold)
	h.mux.HandleFunc("GET "+Release, h.release)
	h.mux.HandleFunc("GET "+Down+"{size}", down)
	h.mux.HandleFunc("POST "+Up+"{size}", up)
	h.mux.HandleFunc("POST "+Unary, unary)
	h.mux.HandleFunc("POST "+Stream, stream)
	return h
}

// ServeHTTP implements http.Handler.
func (h *Handler) ServeHTTP(w http.ResponseWriter, r *http.Request) { h.mux.ServeHTTP(w, r) }

func hello(w http.ResponseWriter, _ *http.Request) {
	w.Header().Set("Content-Type", "text/plain")
	w.Header().Set("Content-Length", strconv.Itoa(len(Hello)))
	_, _ = io.WriteString(w, Hello)
}

func slow(w http.ResponseWriter, r *http.Request) {
	select {
	case <-time.After(Delay):
		hello(w, r)
	case <-r.Context().Done():
	}
}

func (h *Handler) hold(w http.ResponseWriter, r *http.Request) {
	select {
	case <-h.gate:
		hello(w, r)
	case <-r.Context().Done():
	}
}

func (h *Handler) release(w http.ResponseWriter, r *http.Request) {
	h.open.Do(func() { close(h.gate) })
	hello(w, r)
}

var zeros [chunk]byte

func down(w http.ResponseWriter, r *http.Request) {
	size, err := strconv.ParseInt(r.PathValue("size"), 10, 64)
	if err != nil || size < 0 {
		http.Error(w, "no size", http.StatusBadRequest)
		return
	}
	w.Header().Set("Content-Type", "application/octet-stream")
	w.Header().Set("Content-Length", strconv.FormatInt(size, 10))
	for size > 0 {
		n, err := w.Write(zeros[:min(size, chunk)])
		if err != nil {
			return
		}
		size -= int64(n)
	}
}

// up answers 200 to a body of exactly the size in the path.
func up(w http.ResponseWriter, r *http.Request) {
	size, err := strconv.ParseInt(r.PathValue("size"), 10, 64)
	if err != nil {
		http.Error(w, "no size", http.StatusBadRequest)
		return
	}
	n, err := io.CopyBuffer(struct{ io.Writer }{io.Discard}, r.Body, make([]byte, chunk))
	if err != nil || n != size {
		http.Error(w, strconv.FormatInt(n, 10)+" bytes came", http.StatusBadRequest)
		return
	}
	hello(w, r)
}

// called prepares the response to a call, or refuses what is none.
func called(w http.ResponseWriter, r *http.Request) bool {
	if !strings.HasPrefix(r.Header.Get("Content-Type"), GRPC) {
		http.Error(w, "no call", http.StatusUnsupportedMediaType)
		return false
	}
	w.Header().Set("Content-Type", GRPC)
	w.Header().Set("Trailer", "Grpc-Status")
	return true
}

// unary answers a call with its own message, in the same frame, and the status OK in a trailer.
func unary(w http.ResponseWriter, r *http.Request) {
	if !called(w, r) {
		return
	}
	message, err := io.ReadAll(http.MaxBytesReader(w, r.Body, 1<<20))
	if err != nil {
		return
	}
	_, _ = w.Write(message)
	w.Header().Set("Grpc-Status", "0")
}

// stream sends the bytes of a call's messages back at once, and after the last the status OK in a trailer.
func stream(w http.ResponseWriter, r *http.Request) {
	if !called(w, r) {
		return
	}
	out := http.NewResponseController(w)
	buffer := make([]byte, 4<<10)
	for {
		n, err := r.Body.Read(buffer)
		if n > 0 {
			if _, err := w.Write(buffer[:n]); err != nil || out.Flush() != nil {
				return
			}
		}
		switch {
		case errors.Is(err, io.EOF):
			w.Header().Set("Grpc-Status", "0")
			return
		case err != nil:
			return
		}
	}
}

// Serve serves h on l until ctx ends, over HTTP/1.1 and HTTP/2 with prior knowledge. It closes l.
func Serve(ctx context.Context, l net.Listener, h http.Handler) error {
	s := &http.Server{Handler: h, Protocols: new(http.Protocols), ReadHeaderTimeout: time.Minute}
	s.Protocols.SetHTTP1(true)
	s.Protocols.SetUnencryptedHTTP2(true)
	defer context.AfterFunc(ctx, func() { _ = s.Close() })()
	if err := s.Serve(l); !errors.Is(err, http.ErrServerClosed) {
		return err
	}
	return nil
}
