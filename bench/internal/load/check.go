package load

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net/http"
	"strings"
	"time"

	"github.com/sluice-proxy/sluice/bench/internal/origin"
)

// Check sends t one request on its own connection, and returns an error if the response differs from the small answer.
func Check(ctx context.Context, t Target) error {
	ctx, cancel := context.WithTimeout(ctx, 5*time.Second)
	defer cancel()
	tr := transport(t.Protocol)
	defer tr.CloseIdleConnections()
	method, want := http.MethodGet, []byte(origin.Hello)
	var body io.Reader
	if t.Protocol == GRPC {
		method, want, body = http.MethodPost, message, bytes.NewReader(message)
	}
	r, err := newRequest(ctx, method, t, body)
	if err != nil {
		return err
	}
	resp, err := tr.RoundTrip(r)
	if err != nil {
		return err
	}
	defer func() { _ = resp.Body.Close() }()
	got, err := io.ReadAll(resp.Body)
	switch status := resp.Trailer.Get("Grpc-Status"); {
	case err != nil:
		return err
	case resp.StatusCode != http.StatusOK:
		return fmt.Errorf("%s: %.80s", resp.Status, strings.TrimSpace(string(got)))
	case !bytes.Equal(got, want):
		return fmt.Errorf("answered %.40q", got)
	case t.Protocol == GRPC && status != "0":
		return fmt.Errorf("gRPC status %q", status)
	}
	return nil
}

func newRequest(ctx context.Context, method string, t Target, body io.Reader) (*http.Request, error) {
	r, err := http.NewRequestWithContext(ctx, method, t.url(), body)
	if err != nil {
		return nil, err
	}
	r.Host = Host
	if t.Protocol == GRPC {
		r.Header.Set("Content-Type", origin.GRPC)
		r.Header.Set("Te", "trailers")
	}
	for _, line := range t.Header {
		name, value, _ := strings.Cut(line, ": ")
		r.Header.Set(name, value)
	}
	return r, nil
}

// transport has buffers that fit large bodies.
func transport(p Protocol) *http.Transport {
	tr := &http.Transport{
		DisableCompression: true, Protocols: new(http.Protocols),
		MaxIdleConnsPerHost: 1000, ReadBufferSize: 256 << 10, WriteBufferSize: 256 << 10,
	}
	tr.Protocols.SetHTTP1(p == HTTP1)
	tr.Protocols.SetUnencryptedHTTP2(p != HTTP1)
	return tr
}
