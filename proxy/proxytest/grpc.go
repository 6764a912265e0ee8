package proxytest

import (
	"context"
	"errors"
	"io"
	"net"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/interop/grpc_testing"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"

	"github.com/sluice-proxy/sluice/proxy"
)

var grpcs = []testCase{
	{"FourKindsOfCalls", fourKinds, ""},
	{"StatusesAndTrailersPass", grpcStatuses, ""},
	{"Peers20ErrorsAreStatuses", grpcErrors, ownAnswers},
	{"ACallThatIsCancelled", grpcCancelled, ""},
	{"DeadlinesAndTimeouts", grpcTimeout, ""},
}

// grpcApp is a part of gRPC's own test service.
type grpcApp struct {
	grpc_testing.UnimplementedTestServiceServer
	cancelled chan error
}

func (*grpcApp) UnaryCall(ctx context.Context, in *grpc_testing.SimpleRequest) (*grpc_testing.SimpleResponse, error) {
	if s := in.GetResponseStatus(); s != nil {
		_ = grpc.SetTrailer(ctx, metadata.Pairs("x-why", "asked"))
		return nil, status.Error(codes.Code(s.Code), s.Message)
	}
	return &grpc_testing.SimpleResponse{Payload: in.Payload}, nil
}

func (*grpcApp) StreamingOutputCall(in *grpc_testing.StreamingOutputCallRequest, s grpc_testing.TestService_StreamingOutputCallServer) error {
	for _, p := range in.ResponseParameters {
		if err := s.Send(&grpc_testing.StreamingOutputCallResponse{Payload: &grpc_testing.Payload{Body: make([]byte, p.Size)}}); err != nil {
			return err
		}
	}
	return nil
}

func (*grpcApp) StreamingInputCall(s grpc_testing.TestService_StreamingInputCallServer) error {
	total := 0
	for {
		in, err := s.Recv()
		if err == io.EOF {
			return s.SendAndClose(&grpc_testing.StreamingInputCallResponse{AggregatedPayloadSize: int32(total)})
		}
		if err != nil {
			return err
		}
		total += len(in.Payload.Body)
	}
}

func (a *grpcApp) FullDuplexCall(s grpc_testing.TestService_FullDuplexCallServer) error {
	for {
		in, err := s.Recv()
		if err == io.EOF {
			return nil
		}
		if err != nil {
			select {
			case a.cancelled <- err:
			default:
			}
			return err
		}
		if err := s.Send(&grpc_testing.StreamingOutputCallResponse{Payload: in.Payload}); err != nil {
			return err
		}
	}
}

// grpc serves the app and returns a client through a proxy with the policy p, whose upstreams are the app.
func (r *rig) grpc(p func(app string) *script) (grpc_testing.TestServiceClient, *grpcApp, *script) {
	l := r.listen()
	s, app := grpc.NewServer(), &grpcApp{cancelled: make(chan error, 1)}
	grpc_testing.RegisterTestServiceServer(s, app)
	done := make(chan struct{})
	go func() { defer close(done); _ = s.Serve(l) }()
	r.Cleanup(func() { s.Stop(); <-done })
	script := p(l.Addr().String())
	addr := r.proxy(script, proxy.Config{})
	creds := insecure.NewCredentials()
	if r.path.TLS != nil {
		host, _, _ := net.SplitHostPort(addr)
		creds = credentials.NewTLS(r.path.clientTLS(host, proxy.HTTP2))
	}
	c, err := grpc.NewClient("passthrough:///"+addr, grpc.WithTransportCredentials(creds),
		grpc.WithContextDialer(func(ctx context.Context, a string) (net.Conn, error) {
			if r.path.TLS == nil {
				return r.streams.dial(ctx, "tcp", a)
			}
			return new(net.Dialer).DialContext(ctx, "tcp", a)
		}))
	if err != nil {
		r.Fatal(err)
	}
	r.Cleanup(func() { c.Close() })
	return grpc_testing.NewTestServiceClient(c), app, script
}

func plain(app string) *script { return to(proxy.Upstream{Addr: app}) }

func payload(n int) *grpc_testing.Payload { return &grpc_testing.Payload{Body: make([]byte, n)} }

func fourKinds(r *rig) {
	c, _, p := r.grpc(plain)
	ctx, cancel := context.WithTimeout(r.Context(), patience)
	defer cancel()
	for _, n := range []int{0, 1, 100_000} {
		if out, err := c.UnaryCall(ctx, &grpc_testing.SimpleRequest{Payload: payload(n)}); err != nil || len(out.GetPayload().GetBody()) != n {
			r.Errorf("unary: %d bytes, %v", len(out.GetPayload().GetBody()), err)
		}
	}
	var sizes []*grpc_testing.ResponseParameters
	for i := range 50 {
		sizes = append(sizes, &grpc_testing.ResponseParameters{Size: int32(i * 1000)})
	}
	down, err := c.StreamingOutputCall(ctx, &grpc_testing.StreamingOutputCallRequest{ResponseParameters: sizes})
	if err != nil {
		r.Fatal(err)
	}
	for i := range 50 {
		if m, err := down.Recv(); err != nil || len(m.Payload.Body) != i*1000 {
			r.Fatalf("down: message %d: %v", i, err)
		}
	}
	if _, err := down.Recv(); err != io.EOF {
		r.Errorf("down: %v", err)
	}
	up, err := c.StreamingInputCall(ctx)
	if err != nil {
		r.Fatal(err)
	}
	for range 50 {
		if err := up.Send(&grpc_testing.StreamingInputCallRequest{Payload: payload(10_000)}); err != nil {
			r.Fatal(err)
		}
	}
	if m, err := up.CloseAndRecv(); err != nil || m.AggregatedPayloadSize != 500_000 {
		r.Errorf("up: %v, %v", m, err)
	}
	duplex, err := c.FullDuplexCall(ctx)
	if err != nil {
		r.Fatal(err)
	}
	for i := range 50 {
		if err := duplex.Send(&grpc_testing.StreamingOutputCallRequest{Payload: payload(i)}); err != nil {
			r.Fatal(err)
		}
		if m, err := duplex.Recv(); err != nil || len(m.GetPayload().GetBody()) != i {
			r.Fatalf("duplex: message %d: %v", i, err)
		}
	}
	_ = duplex.CloseSend()
	if _, err := duplex.Recv(); err != io.EOF {
		r.Errorf("duplex: %v", err)
	}
	for range 6 {
		if res := take(r, "a result", p.results); res.Reason != proxy.ReasonNone || res.Status != 200 {
			r.Errorf("%+v", res)
		}
	}
}

func grpcStatuses(r *rig) {
	c, _, _ := r.grpc(plain)
	var trailer metadata.MD
	_, err := c.UnaryCall(r.Context(), &grpc_testing.SimpleRequest{ResponseStatus: &grpc_testing.EchoStatus{Code: 9, Message: "ä % b"}}, grpc.Trailer(&trailer))
	if s := status.Convert(err); s.Code() != 9 || s.Message() != "ä % b" || len(trailer["x-why"]) != 1 {
		r.Errorf("%v, trailers %v", err, trailer)
	}
}

// grpcErrors: the proxy's own answers are statuses of the call, with the policy's text.
func grpcErrors(r *rig) {
	for _, want := range []struct {
		err  *proxy.Error
		code codes.Code
	}{
		{&proxy.Error{Reason: proxy.QueueFull, Text: "queue full, 100% ü\n"}, codes.ResourceExhausted},
		{&proxy.Error{Reason: proxy.UnknownRevision, Text: "no such revision\n"}, codes.NotFound},
		{&proxy.Error{Reason: proxy.TimeoutTotal, Text: "request timeout"}, codes.DeadlineExceeded},
		{&proxy.Error{Reason: proxy.ConnectRefused, Text: "refused"}, codes.Unavailable},
	} {
		c, _, p := r.grpc(func(string) *script {
			return newScript(func(*proxy.Request, proxy.Attempt) (proxy.Decision, error) { return proxy.Decision{}, want.err })
		})
		var header metadata.MD
		_, err := c.UnaryCall(r.Context(), &grpc_testing.SimpleRequest{}, grpc.Header(&header))
		text := want.err.Text
		if text[len(text)-1] == '\n' {
			text = text[:len(text)-1]
		}
		if s := status.Convert(err); s.Code() != want.code || s.Message() != text {
			r.Errorf("%v: %v", want.err, err)
		}
		if res := take(r, "the result", p.results); res.Reason != want.err.Reason || res.Status != 200 {
			r.Errorf("%v: %+v", want.err, res)
		}
		// On the wire it must be one frame, with trailers only.
		w := r.dialHTTP2(r.proxy(p, proxy.Config{}))
		w.request(true, ":method", "POST", ":scheme", "http", ":authority", "x", ":path", "/s/m", "content-type", "application/grpc+proto", "te", "trailers")
		if f := w.head(); !f.StreamEnded() || f.PseudoValue("status") != "200" {
			r.Errorf("not trailers-only: ended %v, status %s", f.StreamEnded(), f.PseudoValue("status"))
		}
	}
}

// grpcCancelled: the app's call ends when the client's does.
func grpcCancelled(r *rig) {
	c, app, p := r.grpc(plain)
	ctx, cancel := context.WithCancel(r.Context())
	s, err := c.FullDuplexCall(ctx)
	if err != nil {
		r.Fatal(err)
	}
	_ = s.Send(&grpc_testing.StreamingOutputCallRequest{Payload: payload(1)})
	if _, err := s.Recv(); err != nil {
		r.Fatal(err)
	}
	cancel()
	if err := take(r, "the app's end", app.cancelled); status.Code(err) != codes.Canceled {
		r.Errorf("the app's error: %v", err)
	}
	if res := take(r, "the result", p.results); res.Reason != proxy.ClientGone {
		r.Errorf("%+v", res)
	}
}

// grpcTimeout: a stream that exceeds its timeout is reset, without a message of the proxy.
func grpcTimeout(r *rig) {
	c, _, p := r.grpc(func(app string) *script {
		return to(proxy.Upstream{Addr: app, Timeouts: proxy.Timeouts{Idle: 20 * short}})
	})
	s, err := c.FullDuplexCall(r.Context())
	if err != nil {
		r.Fatal(err)
	}
	_ = s.Send(&grpc_testing.StreamingOutputCallRequest{Payload: payload(1)})
	if _, err := s.Recv(); err != nil {
		r.Fatal(err)
	}
	begin := time.Now()
	if _, err := s.Recv(); err == nil || errors.Is(err, io.EOF) {
		r.Errorf("the stream ended with %v", err)
	}
	if d := time.Since(begin); d > patience/2 {
		r.Errorf("after %v", d)
	}
	if res := take(r, "the result", p.results); res.Reason != proxy.TimeoutIdle {
		r.Errorf("%+v", res)
	}
}
