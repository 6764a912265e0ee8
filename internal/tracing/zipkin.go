package tracing

import (
	"bytes"
	"context"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"time"

	"github.com/sluice-proxy/sluice/metrics/otlp"
)

// zipkinSpan is Zipkin's JSON (https://zipkin.io/zipkin-api/, v2).
type zipkinSpan struct {
	TraceID   string            `json:"traceId"`
	ID        string            `json:"id"`
	Parent    string            `json:"parentId,omitempty"`
	Name      string            `json:"name"`
	Kind      string            `json:"kind,omitempty"`
	Timestamp int64             `json:"timestamp"` // µs
	Duration  int64             `json:"duration"`  // µs, 1 at least
	Local     zipkinEndpoint    `json:"localEndpoint"`
	Tags      map[string]string `json:"tags,omitempty"`
}

type zipkinEndpoint struct {
	Service string `json:"serviceName,omitempty"`
}

func toZipkin(s *otlp.Span, service string) zipkinSpan {
	z := zipkinSpan{
		TraceID: hex.EncodeToString(s.TraceID[:]), ID: hex.EncodeToString(s.SpanID[:]), Name: s.Name,
		Timestamp: s.Start.UnixMicro(), Duration: max(s.End.Sub(s.Start).Microseconds(), 1),
		Local: zipkinEndpoint{service}, Tags: make(map[string]string, len(s.Attributes)+1),
	}
	if s.Parent != [8]byte{} {
		z.Parent = hex.EncodeToString(s.Parent[:])
	}
	switch s.Kind {
	case otlp.Server:
		z.Kind = "SERVER"
	case otlp.Client:
		z.Kind = "CLIENT"
	}
	for _, a := range s.Attributes {
		if a.Text != "" {
			z.Tags[a.Name] = a.Text
		} else {
			z.Tags[a.Name] = strconv.FormatInt(a.Number, 10)
		}
	}
	if s.Failed {
		z.Tags["error"] = s.Error // the tag marks a failed span even if it is empty
	}
	return z
}

// zipkin posts spans. It does not retry: the tracer counts the spans that are lost.
type zipkin struct {
	url, service string
	transport    *http.Transport
}

func newZipkin(url, service string) *zipkin {
	return &zipkin{url, service, &http.Transport{Proxy: http.ProxyFromEnvironment, IdleConnTimeout: 90 * time.Second}}
}

func (z *zipkin) Close() { z.transport.CloseIdleConnections() }

func (z *zipkin) Export(ctx context.Context, spans []otlp.Span) error {
	all := make([]zipkinSpan, len(spans))
	for i := range spans {
		all[i] = toZipkin(&spans[i], z.service)
	}
	body, err := json.Marshal(all)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, otlp.DefaultTimeout)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, z.url, bytes.NewReader(body))
	if err != nil {
		return err
	}
	req.Header.Set("Content-Type", "application/json")
	resp, err := z.transport.RoundTrip(req)
	if err != nil {
		return fmt.Errorf("zipkin: %w", err)
	}
	defer resp.Body.Close()
	_, _ = io.Copy(io.Discard, io.LimitReader(resp.Body, 64<<10)) // so that the connection can be used again
	if resp.StatusCode/100 != 2 {
		return fmt.Errorf("zipkin answered %s", resp.Status)
	}
	return nil
}

// lines writes each span as a line of Zipkin's JSON.
type lines struct {
	out     io.Writer
	service string
}

func (lines) Close() {}

func (l lines) Export(_ context.Context, spans []otlp.Span) error {
	for i := range spans {
		line, err := json.Marshal(toZipkin(&spans[i], l.service))
		if err != nil {
			return err
		}
		if _, err := l.out.Write(append(line, '\n')); err != nil {
			return err
		}
	}
	return nil
}
