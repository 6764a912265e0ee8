package proxy

import (
	"bytes"
	"net"
	"strings"
	"sync/atomic"
	"testing"
	"testing/iotest"
)

// what is written to an end.
type written struct{ bytes.Buffer }

func (*written) CloseWrite() error { return nil }

// A client whose websocket's app has ended it may say its last, as a close frame, in however many pieces.
func TestTheLastOfAWebsocketsClientPasses(t *testing.T) {
	near, far := net.Pipe()
	defer near.Close()
	defer far.Close()
	tun := tunnel{clock: new(clock), client: near, link: near, protocol: "websocket"}
	tun.over.Store(true)
	var out written
	l := &lane{t: &tun, src: iotest.OneByteReader(strings.NewReader("close")), dst: &out, bytes: new(atomic.Int64), up: true}
	if err := tun.copy(l); err != nil || out.String() != "close" {
		t.Errorf("%q passed, %v", out.String(), err)
	}
}
