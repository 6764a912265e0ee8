package proxy_test

import (
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"golang.org/x/net/http2"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/interop/grpc_testing"

	"github.com/sluice-proxy/sluice/proxy"
)

// pipeListener accepts what has been dialled, in memory, so that time is the test's.
type pipeListener struct {
	conns chan net.Conn
	done  chan struct{}
	pings *atomic.Int32 // that either end has sent, besides answers
}

func newPipeListener(pings *atomic.Int32) *pipeListener {
	return &pipeListener{make(chan net.Conn), make(chan struct{}), pings}
}

func (l *pipeListener) Accept() (net.Conn, error) {
	select {
	case c := <-l.conns:
		return c, nil
	case <-l.done:
		return nil, net.ErrClosed
	}
}

func (l *pipeListener) Close() error {
	select {
	case <-l.done:
	default:
		close(l.done)
	}
	return nil
}

func (*pipeListener) Addr() net.Addr { return &net.TCPAddr{IP: net.IPv4(127, 0, 0, 1), Port: 1} }

// dial makes a connection on which pings are counted, both ways.
func (l *pipeListener) dial(ctx context.Context, _, _ string) (net.Conn, error) {
	client, server := net.Pipe()
	select {
	case l.conns <- &pingCounter{Conn: server, n: l.pings}:
		return &pingCounter{Conn: client, n: l.pings, skip: len(http2.ClientPreface)}, nil
	case <-l.done:
		return nil, net.ErrClosed
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

// pingCounter looks at the frames that are written.
type pingCounter struct {
	net.Conn
	n    *atomic.Int32
	skip int // bytes to the next frame's head
	head []byte
}

func (c *pingCounter) Write(p []byte) (int, error) {
	for rest := p; len(rest) > 0; {
		if c.skip > 0 {
			n := min(c.skip, len(rest))
			c.skip, rest = c.skip-n, rest[n:]
			continue
		}
		n := min(9-len(c.head), len(rest)) // RFC 9113 §4.1
		c.head, rest = append(c.head, rest[:n]...), rest[n:]
		if len(c.head) < 9 {
			break
		}
		if http2.FrameType(c.head[3]) == http2.FramePing && !http2.Flags(c.head[4]).Has(http2.FlagPingAck) {
			c.n.Add(1)
		}
		c.skip, c.head = int(c.head[0])<<16|int(c.head[1])<<8|int(c.head[2]), c.head[:0]
	}
	return c.Conn.Write(p)
}

// silent is gRPC's test service whose streams answer what they get.
type silent struct {
	grpc_testing.UnimplementedTestServiceServer
}

func (silent) FullDuplexCall(s grpc_testing.TestService_FullDuplexCallServer) error {
	for {
		m, err := s.Recv()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
		if err := s.Send(&grpc_testing.StreamingOutputCallResponse{Payload: m.GetPayload()}); err != nil {
			return err
		}
	}
}

// A stream that is silent for hours is not cut by a gRPC server with its default policy, which allows two pings in a
// silence, and none is sent by either side of the proxy.
func TestF17ASilentStreamStays(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var pings atomic.Int32
		toApp, toProxy := newPipeListener(&pings), newPipeListener(&pings)
		app := grpc.NewServer()
		grpc_testing.RegisterTestServiceServer(app, silent{})
		h, err := proxy.New(proxy.Config{Name: "x", Dial: toApp.dial, Policy: policyFuncs{next: func(*proxy.Request, proxy.Attempt) (proxy.Decision, error) {
			return proxy.Forward(proxy.Upstream{Addr: "app:1"}), nil
		}}})
		if err != nil {
			t.Fatal(err)
		}
		s := proxy.NewServer(h, proxy.ServerConfig{})
		served := make(chan error, 2)
		go func() { served <- app.Serve(toApp) }()
		go func() { served <- s.Serve(toProxy) }()
		c, err := grpc.NewClient("passthrough:///proxy", grpc.WithTransportCredentials(insecure.NewCredentials()),
			grpc.WithContextDialer(func(ctx context.Context, _ string) (net.Conn, error) { return toProxy.dial(ctx, "", "") }))
		if err != nil {
			t.Fatal(err)
		}
		call, err := grpc_testing.NewTestServiceClient(c).FullDuplexCall(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		for i := range 4 {
			if err := call.Send(&grpc_testing.StreamingOutputCallRequest{}); err != nil {
				t.Fatalf("after %d silences: %v", i, err)
			}
			if _, err := call.Recv(); err != nil {
				t.Fatalf("after %d silences: %v", i, err)
			}
			synctest.Wait()
			before := pings.Load() // gRPC's ends measure a connection by pings when data comes
			time.Sleep(time.Hour)
			synctest.Wait()
			if n := pings.Load(); n != before {
				t.Errorf("%d pings in silence %d", n-before, i)
			}
		}
		_ = call.CloseSend()
		_, _ = call.Recv()
		c.Close()
		app.Stop()
		s.Close()
		for range 2 {
			if err := <-served; err != nil && !errors.Is(err, http.ErrServerClosed) {
				t.Logf("a server: %v", err)
			}
		}
		h.Close()
		synctest.Wait()
	})
}
