package containers

import (
	"context"
	"errors"
	"net"
	"time"
)

// hold is how long a connection has to stay open. A proxy in front of the container closes one that nobody inside accepts as
// soon as it has been rejected there, which takes a few milliseconds.
const hold = 100 * time.Millisecond

// Listens returns nil if an app accepts connections at a published address, and otherwise why not. It blocks for hold at
// least, and until ctx ends.
func Listens(ctx context.Context, addr string) error {
	conn, err := new(net.Dialer).DialContext(ctx, "tcp", addr)
	if err != nil {
		return err
	}
	defer conn.Close()
	if err := conn.SetReadDeadline(time.Now().Add(hold)); err != nil {
		return err
	}
	_, err = conn.Read(make([]byte, 1)) // some protocols let the server speak first
	if err == nil {
		return nil
	}
	if e, ok := errors.AsType[net.Error](err); ok && e.Timeout() {
		return ctx.Err()
	}
	return errors.New("nothing listens behind the published port")
}
