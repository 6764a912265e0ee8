package e2e

import (
	"bufio"
	"bytes"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"net/http"
	"testing"
	"time"

	"github.com/coder/websocket"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/interop/grpc_testing"
)

func TestWebsocketEcho(t *testing.T) {
	t.Parallel()
	q := serve(t, service{})
	messagesEchoed(t, q.client(1), q.url("app", "/ws"))
}

func messagesEchoed(t *testing.T, client *http.Client, url string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	c, _, err := websocket.Dial(ctx, url, &websocket.DialOptions{HTTPClient: client})
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = c.CloseNow() }()
	c.SetReadLimit(-1)
	for _, size := range []int{0, 1, 125, 65536, 1 << 20} {
		sent := make([]byte, size)
		_, _ = rand.Read(sent)
		if err := c.Write(ctx, websocket.MessageBinary, sent); err != nil {
			t.Fatal(err)
		}
		if _, got, err := c.Read(ctx); err != nil || !bytes.Equal(got, sent) {
			t.Fatalf("%d bytes: got %d back, %v", size, len(got), err)
		}
	}
	if err := c.Close(websocket.StatusNormalClosure, ""); err != nil {
		t.Errorf("close: %v", err)
	}
}

// Each event is read before the next one is sent, at the latest in the third attempt: the machine may stall.
func TestServerSentEventsArriveOneByOne(t *testing.T) {
	t.Parallel()
	q := serve(t, service{})
	eventsComeOneByOne(t, q.client(1), q.url("app", "/sse?n=6&every=150ms"))
}

func eventsComeOneByOne(t *testing.T, c *http.Client, url string) {
	t.Helper()
	var late error
	for range 3 {
		resp, err := c.Do(request("GET", url, ""))
		if err != nil {
			t.Fatal(err)
		}
		late = oneByOne(resp.Body)
		_ = resp.Body.Close()
		if late == nil {
			return
		}
	}
	t.Error(late)
}

// oneByOne reads the events of e2e/app at /sse?n=6.
func oneByOne(body io.Reader) error {
	var read time.Time // when the previous event was read
	n := 0
	for s := bufio.NewScanner(body); s.Scan(); {
		if s.Text() == "" {
			continue
		}
		var i int
		var sent int64
		if _, err := fmt.Sscanf(s.Text(), "data: %d %d", &i, &sent); err != nil || i != n {
			return fmt.Errorf("event %d is %q", n, s.Text())
		}
		if n > 0 && read.After(time.Unix(0, sent)) {
			return fmt.Errorf("event %d was read %v after event %d was sent", n-1, read.Sub(time.Unix(0, sent)), n)
		}
		read = time.Now()
		n++
	}
	if n != 6 {
		return fmt.Errorf("%d events of 6", n)
	}
	return nil
}

func TestGRPC(t *testing.T) {
	t.Parallel()
	q := serve(t, service{portName: "h2c", env: map[string]string{"APP_GRPC": "1"}})
	callEverything(t, q.addr(), q.host("app"))
}

// callEverything makes calls with a stream in each direction.
func callEverything(t *testing.T, addr, authority string) {
	conn, err := grpc.NewClient("passthrough:///"+addr,
		grpc.WithTransportCredentials(insecure.NewCredentials()), grpc.WithAuthority(authority))
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = conn.Close() }()
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	client := grpc_testing.NewTestServiceClient(conn)

	t.Run("unary", func(t *testing.T) {
		r, err := client.UnaryCall(ctx, &grpc_testing.SimpleRequest{ResponseSize: 100_000})
		if err != nil || len(r.GetPayload().GetBody()) != 100_000 {
			t.Errorf("%d bytes, %v", len(r.GetPayload().GetBody()), err)
		}
	})
	t.Run("client streaming", func(t *testing.T) { clientStreaming(ctx, t, client) })
	t.Run("server streaming", func(t *testing.T) { serverStreaming(ctx, t, client) })
	t.Run("bidirectional streaming", func(t *testing.T) { bidirectional(ctx, t, client) })
}

func clientStreaming(ctx context.Context, t *testing.T, client grpc_testing.TestServiceClient) {
	s, err := client.StreamingInputCall(ctx)
	if err != nil {
		t.Fatal(err)
	}
	for range 100 {
		if err := s.Send(&grpc_testing.StreamingInputCallRequest{Payload: &grpc_testing.Payload{Body: make([]byte, 10_000)}}); err != nil {
			t.Fatal(err)
		}
	}
	if r, err := s.CloseAndRecv(); err != nil || r.GetAggregatedPayloadSize() != 1_000_000 {
		t.Errorf("%d bytes, %v", r.GetAggregatedPayloadSize(), err)
	}
}

// answers makes requests for answers of these sizes.
func answers(sizes ...int32) *grpc_testing.StreamingOutputCallRequest {
	r := &grpc_testing.StreamingOutputCallRequest{}
	for _, n := range sizes {
		r.ResponseParameters = append(r.ResponseParameters, &grpc_testing.ResponseParameters{Size: n})
	}
	return r
}

func serverStreaming(ctx context.Context, t *testing.T, client grpc_testing.TestServiceClient) {
	sizes := []int32{1, 100_000, 0, 10}
	s, err := client.StreamingOutputCall(ctx, answers(sizes...))
	if err != nil {
		t.Fatal(err)
	}
	for _, n := range sizes {
		if r, err := s.Recv(); err != nil || len(r.GetPayload().GetBody()) != int(n) {
			t.Fatalf("%d bytes of %d, %v", len(r.GetPayload().GetBody()), n, err)
		}
	}
	if _, err := s.Recv(); !errors.Is(err, io.EOF) {
		t.Errorf("after the last: %v", err)
	}
}

// bidirectional sends each message only after the answer to the previous one has come.
func bidirectional(ctx context.Context, t *testing.T, client grpc_testing.TestServiceClient) {
	s, err := client.FullDuplexCall(ctx)
	if err != nil {
		t.Fatal(err)
	}
	for i := range int32(200) {
		if err := s.Send(answers(i)); err != nil {
			t.Fatal(err)
		}
		if r, err := s.Recv(); err != nil || len(r.GetPayload().GetBody()) != int(i) {
			t.Fatalf("%d bytes of %d, %v", len(r.GetPayload().GetBody()), i, err)
		}
	}
	if err := s.CloseSend(); err != nil {
		t.Fatal(err)
	}
	if _, err := s.Recv(); !errors.Is(err, io.EOF) {
		t.Errorf("after the last: %v", err)
	}
}
