package sidecar

import (
	"bytes"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"

	"github.com/sluice-proxy/sluice/internal/knative"
	"github.com/sluice-proxy/sluice/proxy"
	"github.com/sluice-proxy/sluice/queueproxy"
)

// hanging starts a collector that reads a request and never answers.
func hanging(t *testing.T) (url string) {
	return "http://" + startApp(t, http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body)
		<-r.Context().Done()
	}))
}

// buffer is an io.Writer without a lock, by which the race detector finds concurrent writes.
type buffer struct{ bytes.Buffer }

// A collector that never answers delays the end no longer than the rest of the grace period, and loses no line of the request
// log. (The end used to wait 5 s, past SIGKILL, and the log was lost.)
func TestEndWithACollectorThatHangs(t *testing.T) {
	t.Parallel()
	url, out := hanging(t), new(buffer)
	var stopped time.Time
	t.Run("pod", func(t *testing.T) {
		pod := startMain(t, startApp(t, http.HandlerFunc(ok)), []string{
			knative.EnvObservabilityConfig, `{"enableRequestLog":true,"requestLogTemplate":"line {{.Response.Code}}",` +
				`"requestMetrics":{"protocol":"http/protobuf","endpoint":"` + url + `"},` +
				`"tracing":{"protocol":"http/protobuf","endpoint":"` + url + `","samplingRate":1}}`,
		}, WithStdout(out))
		for range 100 {
			visit(t, pod)
		}
		stopped = time.Now()
	})
	if took := time.Since(stopped); took > queueproxy.FlushTime+10*time.Second {
		t.Errorf("Main ends after %v", took)
	}
	if n := strings.Count(out.String(), "line 200\n"); n != 100 {
		t.Errorf("%d lines of 100", n)
	}
}

// After the reader of stdout has stopped, requests are served and the pod ends. Lines of requests and spans don't mix.
func TestEndWithAStdoutThatBlocks(t *testing.T) {
	t.Parallel()
	reader, stdout := io.Pipe()
	defer reader.Close() // ends the writers
	var stopped time.Time
	t.Run("pod", func(t *testing.T) {
		pod := startMain(t, startApp(t, http.HandlerFunc(ok)), []string{
			knative.EnvObservabilityConfig, `{"enableRequestLog":true,"tracing":{"protocol":"stdout"}}`,
		}, WithStdout(stdout))
		for range 100 {
			if got := visit(t, pod); got.status != 200 {
				t.Error(got.status)
			}
		}
		stopped = time.Now()
	})
	if took := time.Since(stopped); took > queueproxy.FlushTime+10*time.Second {
		t.Errorf("it ends after %v", took)
	}
}

func TestLogAndSpansShareStdout(t *testing.T) {
	out := new(buffer)
	t.Run("pod", func(t *testing.T) {
		pod := startMain(t, startApp(t, http.HandlerFunc(ok)), []string{
			knative.EnvObservabilityConfig, `{"enableRequestLog":true,"tracing":{"protocol":"stdout"}}`,
		}, WithStdout(out))
		for range 20 {
			visit(t, pod)
		}
	})
	for line := range strings.Lines(out.String()) {
		if !strings.HasPrefix(line, "{") || !strings.HasSuffix(line, "}\n") {
			t.Errorf("%q", line)
		}
	}
	if requests, spans := strings.Count(out.String(), `"httpRequest"`), strings.Count(out.String(), `"name":"queue"`); requests != 20 || spans != 20 {
		t.Errorf("%d requests and %d spans, of 20", requests, spans)
	}
}

// Requests are served while the log blocks at the line "draining". (They used to wait for it.)
func TestDrainWithALogThatBlocks(t *testing.T) {
	logged, release := make(chan struct{}), make(chan struct{})
	log := zap.New(zapcore.NewCore(zapcore.NewJSONEncoder(zapcore.EncoderConfig{MessageKey: "m"}), zapcore.AddSync(writer(func(b []byte) {
		if bytes.Contains(b, []byte(`"draining"`)) {
			close(logged)
			<-release
		}
	})), zapcore.InfoLevel))
	p, err := queueproxy.New(queueproxy.Config{UserAddr: startApp(t, http.HandlerFunc(ok)), DrainQuiet: time.Millisecond}, log)
	if err != nil {
		t.Fatal(err)
	}
	server := httptest.NewUnstartedServer(p.Handler())
	server.Config.ConnContext = proxy.ConnContext
	server.Start()
	var drained sync.WaitGroup
	drained.Go(func() {
		if err := p.Drain(t.Context()); err != nil {
			t.Error(err)
		}
	})
	<-logged
	if got := visit(t, server.URL); got.status != 200 {
		t.Errorf("%d", got.status)
	}
	close(release)
	drained.Wait()
	server.Close()
	if err := p.Close(); err != nil {
		t.Error(err)
	}
}

type writer func([]byte)

func (w writer) Write(b []byte) (int, error) {
	w(b)
	return len(b), nil
}
