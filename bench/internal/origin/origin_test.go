package origin

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/protobuf/types/known/wrapperspb"
)

func start(t *testing.T) (addr string) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- Serve(ctx, l, New()) }()
	t.Cleanup(func() {
		cancel()
		if err := <-ended; err != nil {
			t.Error(err)
		}
	})
	return l.Addr().String()
}

func ask(t *testing.T, method, url, body string) (int, string) {
	t.Helper()
	tr := &http.Transport{DisableKeepAlives: true}
	r, err := http.NewRequestWithContext(t.Context(), method, url, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	resp, err := tr.RoundTrip(r)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return resp.StatusCode, string(text)
}

func TestAnswers(t *testing.T) {
	addr := "http://" + start(t)
	for _, c := range []struct {
		method, path, body string
		status             int
		want               string
	}{
		{"GET", Small, "", 200, Hello},
		{"GET", Down + "300000", "", 200, string(bytes.Repeat([]byte{0}, 300000))},
		{"GET", Down + "-1", "", 400, "no size\n"},
		{"POST", Up + "5", "12345", 200, Hello},
		{"POST", Up + "6", "12345", 400, "5 bytes came\n"},
		{"POST", Unary, "", 415, "no call\n"},
		{"POST", Stream, "", 415, "no call\n"},
		{"GET", "/", "", 404, "404 page not found\n"},
	} {
		if status, body := ask(t, c.method, addr+c.path, c.body); status != c.status || body != c.want {
			t.Errorf("%s %s: %d, %d bytes %.20q", c.method, c.path, status, len(body), body)
		}
	}
	before := time.Now()
	if status, body := ask(t, "GET", addr+Slow, ""); status != 200 || body != Hello || time.Since(before) < Delay {
		t.Errorf("slow: %d %q after %v", status, body, time.Since(before))
	}
}

func TestHoldWaitsForRelease(t *testing.T) {
	addr := "http://" + start(t)
	answered := make(chan string, 1)
	go func() {
		resp, err := (&http.Transport{DisableKeepAlives: true}).RoundTrip(must(http.NewRequest("GET", addr+Hold, nil)))
		if err != nil {
			answered <- err.Error()
			return
		}
		defer resp.Body.Close()
		body, _ := io.ReadAll(resp.Body)
		answered <- string(body)
	}()
	select {
	case a := <-answered:
		t.Fatalf("answered %q before the release", a)
	case <-time.After(50 * time.Millisecond):
	}
	for range 2 {
		ask(t, "GET", addr+Release, "")
	}
	if a := <-answered; a != Hello {
		t.Errorf("answered %q", a)
	}
}

func must(r *http.Request, err error) *http.Request {
	if err != nil {
		panic(err)
	}
	return r
}

// A real client's call.
func TestUnary(t *testing.T) {
	c, err := grpc.NewClient(start(t), grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	out := new(wrapperspb.StringValue)
	if err := c.Invoke(t.Context(), Unary, wrapperspb.String("echo"), out); err != nil || out.Value != "echo" {
		t.Errorf("%q, %v", out.Value, err)
	}
}

// A real client gets each message before it sends the next.
func TestStream(t *testing.T) {
	c, err := grpc.NewClient(start(t), grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	s, err := c.NewStream(t.Context(), &grpc.StreamDesc{ClientStreams: true, ServerStreams: true}, Stream)
	if err != nil {
		t.Fatal(err)
	}
	for _, text := range []string{"one", "two", "three"} {
		out := new(wrapperspb.StringValue)
		if err := errors.Join(s.SendMsg(wrapperspb.String(text)), s.RecvMsg(out)); err != nil || out.Value != text {
			t.Fatalf("%q, %v, want %q", out.Value, err, text)
		}
	}
	if err := s.CloseSend(); err != nil {
		t.Fatal(err)
	}
	if err := s.RecvMsg(new(wrapperspb.StringValue)); !errors.Is(err, io.EOF) {
		t.Errorf("%v, want the end", err)
	}
}
