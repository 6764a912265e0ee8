package proxytest

import (
	"io"
	"net"
	"testing"

	"golang.org/x/net/http2"
)

// The table counts a stream as open until one side has ended it, however its frames are split into reads and writes.
func TestStreamsAreSeenToEnd(t *testing.T) {
	client, server := net.Pipe()
	defer server.Close()
	var s streams
	c := s.tap(client)
	defer c.Close()
	go func() { _, _ = io.Copy(io.Discard, server) }()
	_, _ = io.WriteString(c, http2.ClientPreface)
	up := http2.NewFramer(c, nil)
	for _, id := range []uint32{1, 3, 5} {
		_ = up.WriteHeaders(http2.HeadersFrameParam{StreamID: id, BlockFragment: []byte("block"), EndHeaders: true})
		_ = up.WriteData(id, true, []byte("body")) // ends the client's half alone
	}
	read := func(write func(fr *http2.Framer)) {
		go write(http2.NewFramer(server, nil))
		one := make([]byte, 1)
		for range 9 + 4 {
			_, _ = io.ReadFull(c, one)
		}
	}
	for _, step := range []struct {
		open int
		then func(fr *http2.Framer)
	}{
		{3, func(fr *http2.Framer) { _ = fr.WriteData(1, false, []byte("body")) }},
		{3, func(fr *http2.Framer) { _ = fr.WriteData(1, true, []byte("body")) }},
		{2, func(fr *http2.Framer) { _ = fr.WriteRSTStream(3, http2.ErrCodeCancel) }},
		{1, func(fr *http2.Framer) {
			_ = fr.WriteHeaders(http2.HeadersFrameParam{StreamID: 5, BlockFragment: []byte("more"), EndHeaders: true, EndStream: true})
		}},
	} {
		if n := s.open(); n != step.open {
			t.Errorf("%d streams are open, want %d", n, step.open)
		}
		read(step.then)
	}
	if n := s.open(); n != 0 {
		t.Errorf("%d streams are open at the end", n)
	}
}
