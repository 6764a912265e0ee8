package cluster_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/health/grpc_health_v1"
	"google.golang.org/grpc/interop/grpc_testing"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"
)

// dialGRPC connects to the public Service as r.transport does, and returns a context with the revision's headers.
func (r *revision) dialGRPC(ctx context.Context) (context.Context, *grpc.ClientConn, error) {
	c, err := grpc.NewClient("passthrough:///"+r.address, grpc.WithTransportCredentials(insecure.NewCredentials()))
	return metadata.AppendToOutgoingContext(ctx,
		"knative-serving-namespace", r.namespace, "knative-serving-revision", r.name), c, err
}

func grpcKinds(ctx context.Context, w *world) (string, error) {
	r, err := w.deploy(ctx, service{name: "grpc", port: "h2c"})
	if err != nil {
		return "", err
	}
	ctx, c, err := r.dialGRPC(ctx)
	if err != nil {
		return "", err
	}
	defer func() { _ = c.Close() }()
	test := grpc_testing.NewTestServiceClient(c)
	for _, kind := range []struct {
		name string
		call func(context.Context, grpc_testing.TestServiceClient) error
	}{{"unary", unary}, {"client stream", clientStream}, {"server stream", serverStream}, {"bidi", bidi}} {
		if err := kind.call(ctx, test); err != nil {
			return "", fmt.Errorf("%s: %w", kind.name, err)
		}
	}
	health, err := grpc_health_v1.NewHealthClient(c).Check(ctx, &grpc_health_v1.HealthCheckRequest{})
	if err == nil && health.GetStatus() != grpc_health_v1.HealthCheckResponse_SERVING {
		err = errors.New(health.String())
	}
	return "", err
}

func unary(ctx context.Context, c grpc_testing.TestServiceClient) error {
	resp, err := c.UnaryCall(ctx, &grpc_testing.SimpleRequest{ResponseSize: 1000})
	if err == nil && len(resp.GetPayload().GetBody()) != 1000 {
		err = fmt.Errorf("%d bytes", len(resp.GetPayload().GetBody()))
	}
	return err
}

func clientStream(ctx context.Context, c grpc_testing.TestServiceClient) error {
	s, err := c.StreamingInputCall(ctx)
	if err != nil {
		return err
	}
	for range 100 {
		if err := s.Send(&grpc_testing.StreamingInputCallRequest{Payload: &grpc_testing.Payload{Body: make([]byte, 1000)}}); err != nil {
			return err
		}
	}
	resp, err := s.CloseAndRecv()
	if err == nil && resp.GetAggregatedPayloadSize() != 100_000 {
		err = fmt.Errorf("%d bytes", resp.GetAggregatedPayloadSize())
	}
	return err
}

func serverStream(ctx context.Context, c grpc_testing.TestServiceClient) error {
	req := &grpc_testing.StreamingOutputCallRequest{}
	for range 100 {
		req.ResponseParameters = append(req.ResponseParameters, &grpc_testing.ResponseParameters{Size: 1000})
	}
	s, err := c.StreamingOutputCall(ctx, req)
	if err != nil {
		return err
	}
	n := 0
	for {
		resp, err := s.Recv()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return err
		}
		n += len(resp.GetPayload().GetBody())
	}
	if n != 100_000 {
		return fmt.Errorf("%d bytes", n)
	}
	return nil
}

func bidi(ctx context.Context, c grpc_testing.TestServiceClient) error {
	s, err := c.FullDuplexCall(ctx)
	if err != nil {
		return err
	}
	for i := range 50 {
		size := int32(i * 100)
		req := &grpc_testing.StreamingOutputCallRequest{ResponseParameters: []*grpc_testing.ResponseParameters{{Size: size}}}
		if err := s.Send(req); err != nil {
			return err
		}
		resp, err := s.Recv()
		if err != nil {
			return err
		}
		if n := len(resp.GetPayload().GetBody()); n != int(size) {
			return fmt.Errorf("%d bytes of %d", n, size)
		}
	}
	if err := s.CloseSend(); err != nil {
		return err
	}
	if _, err := s.Recv(); !errors.Is(err, io.EOF) {
		return fmt.Errorf("the end: %w", err)
	}
	return nil
}

// grpcTimeout calls a service that is never ready: the answer must be a status of gRPC, not of HTTP.
func grpcTimeout(ctx context.Context, w *world) (string, error) {
	r, err := w.deploy(ctx, service{
		name: "grpc-never", port: "h2c", timeout: 4 * time.Second,
		readiness: httpProbe("/ready", 1), env: map[string]string{"READY_AFTER": "never"},
	})
	if err != nil {
		return "", err
	}
	ctx, c, err := r.dialGRPC(ctx)
	if err != nil {
		return "", err
	}
	defer func() { _ = c.Close() }()
	err = unary(ctx, grpc_testing.NewTestServiceClient(c))
	if status.Code(err) != codes.DeadlineExceeded {
		return status.Code(err).String(), fmt.Errorf("want DeadlineExceeded: %w", err)
	}
	return "", nil
}
