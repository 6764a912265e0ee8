package metrics

import (
	"context"
	"net"
	"net/http"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/coder/websocket"
	"google.golang.org/protobuf/proto"

	"github.com/sluice-proxy/sluice/metrics/statpb"
)

// autoscaler is a real websocket server that remembers, by number, what it got.
type autoscaler struct {
	t       *testing.T
	addr    string
	silent  bool          // answers no ping
	gate    chan struct{} // if not nil, nothing is read until it is closed
	pings   atomic.Int64
	conns   atomic.Int64
	goodbye atomic.Int64 // close status of the last connection

	mu     sync.Mutex
	got    []int
	open   map[*websocket.Conn]bool
	server *http.Server
	// handlers of connections; Add happens with open not nil, so before Wait.
	handlers sync.WaitGroup
}

// listen starts the server, on the address it had before if any.
func (a *autoscaler) listen() {
	a.t.Helper()
	addr := a.addr
	if addr == "" {
		addr = "127.0.0.1:0"
	}
	l, err := net.Listen("tcp", addr)
	if err != nil {
		a.t.Fatal(err)
	}
	a.addr = l.Addr().String()
	a.open = map[*websocket.Conn]bool{}
	server := &http.Server{Handler: http.HandlerFunc(a.serve)}
	a.server = server
	a.handlers.Go(func() { _ = server.Serve(smallBuffers{l}) })
}

func newAutoscaler(t *testing.T) *autoscaler {
	a := &autoscaler{t: t}
	t.Cleanup(a.kill)
	return a
}

func (a *autoscaler) url() string { return "ws://" + a.addr }

// cut ends all connections without a word and listens no more.
func (a *autoscaler) cut() {
	_ = a.server.Close()
	a.mu.Lock()
	conns := a.open
	a.open = nil
	a.mu.Unlock()
	for c := range conns {
		_ = c.CloseNow()
	}
}

// kill cuts and waits for the end.
func (a *autoscaler) kill() {
	if a.server == nil {
		return
	}
	a.cut()
	a.handlers.Wait()
	a.server = nil
}

func (a *autoscaler) serve(w http.ResponseWriter, r *http.Request) {
	c, err := websocket.Accept(w, r, &websocket.AcceptOptions{
		OnPingReceived: func(context.Context, []byte) bool {
			a.pings.Add(1)
			return !a.silent
		},
	})
	if err != nil {
		a.t.Errorf("accept: %v", err)
		return
	}
	c.SetReadLimit(-1)
	a.mu.Lock()
	if a.open == nil { // killed meanwhile
		a.mu.Unlock()
		_ = c.CloseNow()
		return
	}
	a.open[c] = true
	a.handlers.Add(1)
	a.mu.Unlock()
	defer a.handlers.Done()
	a.conns.Add(1)
	if a.gate != nil {
		<-a.gate
	}
	a.read(c)
}

func (a *autoscaler) read(c *websocket.Conn) {
	for {
		kind, wire, err := c.Read(context.Background())
		if err != nil {
			a.goodbye.Store(int64(websocket.CloseStatus(err)))
			_ = c.CloseNow()
			return
		}
		var m statpb.WireStatMessages
		if err := proto.Unmarshal(wire, &m); err != nil || kind != websocket.MessageBinary {
			a.t.Errorf("got %v %q: %v", kind, wire, err)
			continue
		}
		a.mu.Lock()
		a.got = append(a.got, int(m.GetMessages()[0].GetStat().GetRequestCount()))
		a.mu.Unlock()
	}
}

func (a *autoscaler) received() []int {
	a.mu.Lock()
	defer a.mu.Unlock()
	return append([]int(nil), a.got...)
}

// smallBuffers makes a server that does not read push back soon.
type smallBuffers struct{ net.Listener }

func (l smallBuffers) Accept() (net.Conn, error) {
	c, err := l.Listener.Accept()
	if err == nil {
		err = c.(*net.TCPConn).SetReadBuffer(64 << 10)
	}
	return c, err
}
