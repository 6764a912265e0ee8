package queueproxy

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net/http"

	"google.golang.org/protobuf/encoding/protowire"
)

// The health checking protocol of gRPC: https://github.com/grpc/grpc/blob/master/doc/health-checking.md. One unary call
// needs no gRPC library: a message is five bytes of prefix and a protobuf, the status a trailer
// (https://github.com/grpc/grpc/blob/master/doc/PROTOCOL-HTTP2.md).
const (
	healthPath     = "/grpc.health.v1.Health/Check"
	fieldService   = 1 // HealthCheckRequest.service, string
	fieldStatus    = 1 // HealthCheckResponse.status, enum
	statusServing  = 1
	maxHealthReply = 4 << 10
)

func (p *prober) tryGRPC(ctx context.Context) error {
	body := grpcMessage(protowire.AppendString(protowire.AppendTag(nil, fieldService, protowire.BytesType), p.Service))
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, "http://"+p.Addr+healthPath, bytes.NewReader(body))
	if err != nil {
		return err
	}
	req.Header.Set("Content-Type", "application/grpc")
	req.Header.Set("Te", "trailers")
	req.Header.Set("User-Agent", userAgent)
	resp, err := p.http2.RoundTrip(req)
	if err != nil {
		return err
	}
	defer func() { _ = resp.Body.Close() }() // the answer is known
	reply, err := io.ReadAll(io.LimitReader(resp.Body, maxHealthReply))
	if err != nil {
		return err
	}
	if resp.StatusCode != http.StatusOK {
		return fmt.Errorf("status %d", resp.StatusCode)
	}
	status := resp.Trailer.Get("Grpc-Status")
	if status == "" {
		status = resp.Header.Get("Grpc-Status") // trailers-only
	}
	if status != "0" {
		return fmt.Errorf("gRPC status %q", status)
	}
	serving, err := healthStatus(reply)
	if err == nil && serving != statusServing {
		err = fmt.Errorf("health status %d", serving)
	}
	return err
}

func grpcMessage(m []byte) []byte {
	b := append(make([]byte, 0, 5+len(m)), 0) // not compressed
	return append(binary.BigEndian.AppendUint32(b, uint32(len(m))), m...)
}

var errHealthReply = errors.New("no gRPC health reply")

// healthStatus finds the status in a framed HealthCheckResponse; 0 (UNKNOWN) when it has none.
func healthStatus(framed []byte) (status uint64, err error) {
	if len(framed) < 5 || framed[0] != 0 {
		return 0, errHealthReply
	}
	m := framed[5:]
	if uint64(binary.BigEndian.Uint32(framed[1:])) != uint64(len(m)) {
		return 0, errHealthReply
	}
	for len(m) > 0 {
		field, kind, n := protowire.ConsumeTag(m)
		if n < 0 {
			return 0, errHealthReply
		}
		m = m[n:]
		if field == fieldStatus && kind == protowire.VarintType {
			status, n = protowire.ConsumeVarint(m)
		} else {
			n = protowire.ConsumeFieldValue(field, kind, m)
		}
		if n < 0 {
			return 0, errHealthReply
		}
		m = m[n:]
	}
	return status, nil
}
