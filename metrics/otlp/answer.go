package otlp

import (
	"encoding/binary"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"
)

// httpOutcome reads a response over HTTP (https://opentelemetry.io/docs/specs/otlp/#otlphttp-response).
func httpOutcome(resp *http.Response) error {
	body, err := io.ReadAll(io.LimitReader(resp.Body, maxAnswer))
	if resp.StatusCode/100 == 2 {
		if err != nil {
			return nil // the collector has accepted it
		}
		return partial(body)
	}
	err = fmt.Errorf("the collector answered %s: %.200s", resp.Status, describe(resp, body))
	switch resp.StatusCode {
	case http.StatusTooManyRequests, http.StatusBadGateway, http.StatusServiceUnavailable, http.StatusGatewayTimeout:
		return &retryable{err, retryAfter(resp.Header.Get("Retry-After"))}
	}
	return err
}

// describe is the text of an error response: field 2 of a google.rpc.Status, or the body, as from a proxy in between.
func describe(resp *http.Response, body []byte) string {
	if strings.HasPrefix(resp.Header.Get("Content-Type"), "application/x-protobuf") {
		body = field(body, 2)
	}
	return oneLine(string(body))
}

func oneLine(text string) string {
	return strings.Join(strings.Fields(strings.ToValidUTF8(text, "?")), " ")
}

// retryAfter reads a Retry-After field (RFC 9110 §10.2.3); zero when there is no valid one.
func retryAfter(v string) time.Duration {
	if n, err := strconv.ParseUint(v, 10, 31); err == nil {
		return time.Duration(n) * time.Second
	}
	if at, err := http.ParseTime(v); err == nil {
		return max(time.Until(at), 0)
	}
	return 0
}

// framed makes a message of gRPC (https://github.com/grpc/grpc/blob/master/doc/PROTOCOL-HTTP2.md, Length-Prefixed-Message).
func framed(message []byte, zip bool) []byte {
	b := make([]byte, 5, 5+len(message))
	if zip {
		b[0] = 1
	}
	binary.BigEndian.PutUint32(b[1:], uint32(len(message)))
	return append(b, message...)
}

// Statuses of gRPC after which OTLP has the client try again
// (https://opentelemetry.io/docs/specs/otlp/#failures). RESOURCE_EXHAUSTED only when the collector says how long to wait.
const (
	grpcCancelled         = 1
	grpcDeadlineExceeded  = 4
	grpcResourceExhausted = 8
	grpcAborted           = 10
	grpcOutOfRange        = 11
	grpcUnavailable       = 14
	grpcDataLoss          = 15
)

// grpcOutcome reads a response of gRPC: its status is in the trailers, or in the header when there is nothing else.
func grpcOutcome(resp *http.Response) error {
	if resp.StatusCode != http.StatusOK {
		return httpOutcome(resp) // from a proxy in between
	}
	body, err := io.ReadAll(io.LimitReader(resp.Body, maxAnswer))
	if err != nil {
		return &retryable{error: err}
	}
	h := resp.Header
	if h.Get("Grpc-Status") == "" {
		h = resp.Trailer
	}
	status, err := strconv.Atoi(h.Get("Grpc-Status"))
	if err != nil {
		return fmt.Errorf("the collector's answer has no grpc-status: content-type %q", resp.Header.Get("Content-Type"))
	}
	if status == 0 {
		if len(body) < 5 || body[0] != 0 {
			return nil // the collector has accepted it, and has sent no message
		}
		return partial(body[5:])
	}
	text, _ := url.PathUnescape(h.Get("Grpc-Message"))
	err = fmt.Errorf("the collector answered gRPC status %d: %.200s", status, oneLine(text))
	switch status {
	case grpcCancelled, grpcDeadlineExceeded, grpcAborted, grpcOutOfRange, grpcUnavailable, grpcDataLoss:
		return &retryable{err, max(pushback(h), 0)}
	case grpcResourceExhausted:
		if d := pushback(h); d >= 0 {
			return &retryable{err, d}
		}
	}
	return err
}
