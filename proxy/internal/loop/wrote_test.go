package loop_test

import (
	"net"
	"testing"

	"github.com/sluice-proxy/sluice/proxy/internal/loop"
)

// deafHandler takes what comes.
type deafHandler struct{}

func (deafHandler) Input(p []byte) int { return len(p) }
func (deafHandler) Hangup()            {}
func (deafHandler) Ended(error)        {}
func (deafHandler) Drained()           {}

// Of what a goroutine is writing the peer may have got all.
func TestWroteCountsWhatIsBeingWritten(t *testing.T) {
	l, err := loop.New(loop.Config{NoEpoll: true})
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	ours, peers := net.Pipe() // whose writes wait for a read
	defer peers.Close()
	var c *loop.Conn
	l.Do(func() {
		c = l.Add(ours, deafHandler{})
		*c.Out() = append(*c.Out(), "12345"...)
	})
	l.Do(func() {
		if n := c.Wrote(); n != 5 {
			t.Errorf("%d bytes", n)
		}
	})
}
