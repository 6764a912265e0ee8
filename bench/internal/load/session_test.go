package load

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"testing"
	"time"

	"github.com/sluice-proxy/sluice/bench/internal/origin"
	"golang.org/x/net/http2"
	"golang.org/x/net/http2/hpack"
)

func TestStreams(t *testing.T) {
	app := serve(t, origin.New())
	c, err := GatherStreams(t.Context(), Target{Addr: app, Path: origin.Hold, Header: []string{"Connection: keep-alive", "X-One: 1"}}, 10, 20)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	if err := c.Send(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := Check(t.Context(), Target{Addr: app, Path: origin.Release, Protocol: HTTP1}); err != nil {
		t.Fatal(err)
	}
	if err := c.Receive(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := c.Exchange(t.Context()); err != nil { // on the same connections
		t.Fatal(err)
	}
}

func TestStreamsTellWhatFailed(t *testing.T) {
	for want, h := range map[string]http.HandlerFunc{
		"of 4: 503: full":  refuses,
		"of 4: 200: short": answers("short"),
		"INTERNAL_ERROR":   func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) },
	} {
		c, err := GatherStreams(t.Context(), Target{Addr: serve(t, h), Path: "/"}, 4, 2)
		if err != nil {
			t.Fatal(err)
		}
		wants(t, want, c.Exchange(t.Context()), want)
		c.Close()
	}
	_, err := GatherStreams(t.Context(), Target{Addr: "127.0.0.1:1", Path: "/"}, 4, 2)
	wants(t, "no server", err, "refused")
}

// The end of the context ends the wait for answers that don't come.
func TestStreamsAreCut(t *testing.T) {
	c, err := GatherStreams(t.Context(), Target{Addr: serve(t, origin.New()), Path: origin.Hold}, 10, 10)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- c.Exchange(ctx) }()
	cancel()
	select {
	case err := <-ended:
		if !errors.Is(err, context.Canceled) {
			t.Error(err)
		}
	case <-time.After(time.Minute):
		t.Fatal("Exchange still waits")
	}
}

func TestChat(t *testing.T) {
	app := serve(t, origin.New())
	run := Run{Target: Target{Addr: app, Path: origin.Stream}, Connections: 2, Streams: 3, Duration: time.Second}
	r, err := Chat(t.Context(), run)
	if err != nil || r.Requests < 6 || r.Elapsed < time.Second || r.P50 <= 0 || r.P99 != 0 && r.P99 < r.P50 {
		t.Errorf("%+v, %v", r, err)
	}
	run.Duration = 100 * time.Millisecond
	for want, h := range map[string]http.HandlerFunc{
		"status 503": refuses,
		"came back as": func(w http.ResponseWriter, _ *http.Request) {
			_, _ = io.WriteString(w, "another message of more bytes")
		},
		"a call ended early": func(http.ResponseWriter, *http.Request) {},
	} {
		run.Target.Addr = serve(t, h)
		_, err := Chat(t.Context(), run)
		wants(t, want, err, want)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := Chat(ctx, run); !errors.Is(err, context.Canceled) {
		t.Errorf("cancelled: %v", err)
	}
}

// A message waits for the window of its stream, which SETTINGS can make negative (RFC 9113 §6.9.2).
func TestChatHasWindows(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	served := make(chan error, 1)
	go func() { served <- narrow(l) }()
	r, err := Chat(t.Context(), Run{Target: Target{Addr: l.Addr().String(), Path: "/"}, Connections: 1, Streams: 1, Duration: time.Hour})
	if err := <-served; err != nil {
		t.Fatal(err)
	}
	wants(t, "a server that leaves", err, "the connection was closed")
	if r.Requests != 0 {
		t.Errorf("%+v", r)
	}
}

// narrow serves a call with a window of ten bytes, and checks that the second message, which needs 17, waits for an update.
func narrow(l net.Listener) error {
	conn, err := l.Accept()
	if err != nil {
		return err
	}
	defer conn.Close()
	if err := conn.SetDeadline(time.Now().Add(time.Minute)); err != nil {
		return err
	}
	if _, err := io.ReadFull(conn, make([]byte, len(http2.ClientPreface))); err != nil {
		return err
	}
	f := http2.NewFramer(conn, conn)
	if err := until(f, http2.FrameData); err != nil {
		return err
	}
	var head bytes.Buffer
	return errors.Join(
		hpack.NewEncoder(&head).WriteField(hpack.HeaderField{Name: ":status", Value: "200"}),
		f.WriteSettings(http2.Setting{ID: http2.SettingInitialWindowSize, Val: 10}),
		f.WriteHeaders(http2.HeadersFrameParam{StreamID: 1, BlockFragment: head.Bytes(), EndHeaders: true}),
		f.WriteData(1, false, message),
		f.WritePing(false, [8]byte{1}),
		until(f, http2.FramePing),
		f.WriteWindowUpdate(1, 23), // 10 - 17 + 23: one byte too few
		f.WritePing(false, [8]byte{2}),
		until(f, http2.FramePing),
		f.WriteWindowUpdate(1, 1),
		until(f, http2.FrameData),
	)
}

// until reads frames until one of type want, and fails on DATA before it.
func until(f *http2.Framer, want http2.FrameType) error {
	for {
		frame, err := f.ReadFrame()
		switch {
		case err != nil:
			return err
		case frame.Header().Type == want:
			return nil
		case frame.Header().Type == http2.FrameData:
			return fmt.Errorf("DATA beyond the window: %v", frame)
		}
	}
}
