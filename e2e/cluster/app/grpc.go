package main

import (
	"context"
	"errors"
	"io"
	"net/http"

	"google.golang.org/grpc"
	"google.golang.org/grpc/health"
	"google.golang.org/grpc/health/grpc_health_v1"
	"google.golang.org/grpc/interop/grpc_testing"
)

func newGRPC() http.Handler {
	s := grpc.NewServer()
	grpc_testing.RegisterTestServiceServer(s, testService{})
	grpc_health_v1.RegisterHealthServer(s, health.NewServer())
	return s
}

// testService has the methods of grpc.testing.TestService with streams.
type testService struct {
	grpc_testing.UnimplementedTestServiceServer
}

func (testService) UnaryCall(_ context.Context, r *grpc_testing.SimpleRequest) (*grpc_testing.SimpleResponse, error) {
	return &grpc_testing.SimpleResponse{Payload: body(r.GetResponseSize())}, nil
}

func (testService) StreamingInputCall(s grpc.ClientStreamingServer[grpc_testing.StreamingInputCallRequest, grpc_testing.StreamingInputCallResponse]) error {
	var sum int32
	for {
		r, err := s.Recv()
		if errors.Is(err, io.EOF) {
			return s.SendAndClose(&grpc_testing.StreamingInputCallResponse{AggregatedPayloadSize: sum})
		}
		if err != nil {
			return err
		}
		sum += int32(len(r.GetPayload().GetBody()))
	}
}

func (testService) StreamingOutputCall(r *grpc_testing.StreamingOutputCallRequest, s grpc.ServerStreamingServer[grpc_testing.StreamingOutputCallResponse]) error {
	return answerAll(r, s)
}

func (testService) FullDuplexCall(s grpc.BidiStreamingServer[grpc_testing.StreamingOutputCallRequest, grpc_testing.StreamingOutputCallResponse]) error {
	for {
		r, err := s.Recv()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
		if err := answerAll(r, s); err != nil {
			return err
		}
	}
}

func answerAll(r *grpc_testing.StreamingOutputCallRequest, s interface {
	Send(*grpc_testing.StreamingOutputCallResponse) error
},
) error {
	for _, p := range r.GetResponseParameters() {
		if err := s.Send(&grpc_testing.StreamingOutputCallResponse{Payload: body(p.GetSize())}); err != nil {
			return err
		}
	}
	return nil
}

func body(n int32) *grpc_testing.Payload { return &grpc_testing.Payload{Body: make([]byte, n)} }
