package otlp

import (
	"context"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/encoding/protowire"
)

var one = []Span{{TraceID: [16]byte{1}, SpanID: [8]byte{1}, Name: "n"}}

func TestRetriesUntilTheCollectorIsBack(t *testing.T) {
	for _, code := range []int{429, 502, 503, 504} {
		t.Run(http.StatusText(code), func(t *testing.T) {
			t.Parallel()
			c := newCollector()
			var n atomic.Int32
			c.answerHTTP = func(w http.ResponseWriter) bool {
				if n.Add(1) == 1 {
					w.WriteHeader(code)
					return false
				}
				return true
			}
			url, _ := c.overHTTP(t, false)
			s, err := NewSpans(Config{Protocol: HTTP, Endpoint: url + "/v1/traces"})
			if err != nil {
				t.Fatal(err)
			}
			defer s.Close()
			if err := s.Export(t.Context(), one); err != nil {
				t.Error(err)
			}
			if n := len(c.headers); n != 2 {
				t.Errorf("%d attempts, want 2", n)
			}
		})
	}
}

func TestGRPCRetries(t *testing.T) {
	// A google.rpc.Status with an ErrorInfo and a RetryInfo of 700 ms.
	nanos := protowire.AppendVarint(protowire.AppendTag(nil, 2, protowire.VarintType), 700e6)
	later := append(
		message(nil).bytes(3, message(nil).bytes(1, []byte("type.googleapis.com/google.rpc.ErrorInfo")).bytes(2, []byte("x"))),
		message(nil).bytes(3, message(nil).bytes(1, []byte("type.googleapis.com/google.rpc.RetryInfo")).bytes(2, message(nil).bytes(1, nanos)))...)
	for name, v := range map[string]struct {
		err      error
		attempts int
		atLeast  time.Duration
		details  []byte
	}{
		"unavailable":          {status.Error(codes.Unavailable, "away"), 2, 0, nil},
		"exhausted for a time": {status.Error(codes.ResourceExhausted, "later"), 2, 700 * time.Millisecond, later},
		"exhausted":            {status.Error(codes.ResourceExhausted, "quota"), 1, 0, nil},
		"wrong":                {status.Error(codes.InvalidArgument, "no such\nthing"), 1, 0, nil},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c := newCollector()
			var n atomic.Int32
			c.answerGRPC = func(ctx context.Context) error {
				if n.Add(1) == 1 {
					if v.details != nil {
						if err := grpc.SetTrailer(ctx, metadata.Pairs("grpc-status-details-bin", string(v.details))); err != nil {
							t.Error(err)
						}
					}
					return v.err
				}
				return nil
			}
			url, _ := c.overGRPC(t, false)
			s, err := NewSpans(Config{Protocol: GRPC, Endpoint: url})
			if err != nil {
				t.Fatal(err)
			}
			defer s.Close()
			begin := time.Now()
			err = s.Export(t.Context(), one)
			if (err == nil) != (v.attempts == 2) || err != nil && strings.Contains(err.Error(), "\n") {
				t.Errorf("error %v", err)
			}
			if got := int(n.Load()); got != v.attempts {
				t.Errorf("%d attempts, want %d", got, v.attempts)
			}
			if d := time.Since(begin); d < v.atLeast {
				t.Errorf("tried again after %v, the collector asked for %v", d, v.atLeast)
			}
		})
	}
}

func TestGivesUp(t *testing.T) {
	refused := func() string {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		defer l.Close()
		return "http://" + l.Addr().String()
	}
	for name, v := range map[string]struct {
		answer http.HandlerFunc
		again  bool
		says   string
	}{
		"no such path": {http.NotFound, false, "404"},
		"elsewhere": {func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Location", "/other")
			w.WriteHeader(http.StatusTemporaryRedirect)
		}, false, "307"},
		"busy for long": {func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Retry-After", "3600")
			w.WriteHeader(http.StatusServiceUnavailable)
		}, true, "503"},
		"hangs":   {func(_ http.ResponseWriter, r *http.Request) { _, _ = io.Copy(io.Discard, r.Body); <-r.Context().Done() }, true, "deadline"},
		"refused": {nil, true, "refused"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			url := ""
			var n atomic.Int32
			if v.answer == nil {
				url = refused()
			} else {
				s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
					n.Add(1)
					v.answer(w, r)
				}))
				defer s.Close()
				url = s.URL
			}
			s, err := NewSpans(Config{Protocol: HTTP, Endpoint: url + "/v1/traces", Timeout: 300 * time.Millisecond})
			if err != nil {
				t.Fatal(err)
			}
			defer s.Close()
			ctx, cancel := context.WithTimeout(t.Context(), 400*time.Millisecond)
			defer cancel()
			err = s.Export(ctx, one)
			if err == nil || !strings.Contains(err.Error(), v.says) || isRetryable(err) != v.again {
				t.Errorf("error %v", err)
			}
			if n.Load() > 1 {
				t.Errorf("%d attempts", n.Load())
			}
		})
	}
}

func TestPartialSuccessIsAFailureThatIsToldOnce(t *testing.T) {
	for _, protocol := range []string{HTTP, GRPC} {
		c := newCollector()
		c.rejected = 2
		serve := c.overHTTP
		if protocol == GRPC {
			serve = c.overGRPC
		}
		url, _ := serve(t, false)
		config := Config{Protocol: protocol, Endpoint: url, Interval: 10 * time.Millisecond, Gatherer: prometheus.NewRegistry()}
		path(&config, "/v1/metrics")
		g := prometheus.NewGauge(prometheus.GaugeOpts{Name: "g"})
		config.Gatherer.(*prometheus.Registry).MustRegister(g)
		reported := make(chan error, 10)
		config.Failed = func(err error) { reported <- err }
		m, err := NewMetrics(config)
		if err != nil {
			t.Fatal(err)
		}
		stop := run(t, m)
		for range 3 {
			take(t, c.metrics)
		}
		stop()
		if err := take(t, reported); err == nil || err.Error() != "the collector rejected 2 entries: too old" {
			t.Errorf("%s: %v", protocol, err)
		}
		if n := len(reported); n > 0 {
			t.Errorf("%s: reported %d times more", protocol, n)
		}
	}
}

func TestNoGRPCThere(t *testing.T) {
	web := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "<html>") }))
	web.Config.Protocols = new(http.Protocols)
	web.Config.Protocols.SetUnencryptedHTTP2(true)
	web.Start()
	defer web.Close()
	s, err := NewSpans(Config{Protocol: GRPC, Endpoint: web.URL})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	if err := s.Export(t.Context(), one); err == nil || !strings.Contains(err.Error(), "grpc-status") {
		t.Errorf("error %v", err)
	}
}

func FuzzAnswers(f *testing.F) {
	f.Add([]byte{0x0a, 0x04, 0x08, 0x02, 0x12, 0x00}, "AAAA", "8")
	f.Fuzz(func(t *testing.T, body []byte, details, code string) {
		_ = partial(body)
		h := http.Header{"Grpc-Status-Details-Bin": {details}, "Grpc-Status": {code}, "Grpc-Message": {string(body)}}
		if d := pushback(h); d < -1 {
			t.Errorf("a pause of %v", d)
		}
		for _, status := range []int{200, 503} {
			err := grpcOutcome(&http.Response{StatusCode: status, Header: h, Body: io.NopCloser(strings.NewReader(string(body)))})
			if err != nil && strings.ContainsAny(err.Error(), "\n\r") {
				t.Errorf("more than one line: %q", err)
			}
		}
	})
}
