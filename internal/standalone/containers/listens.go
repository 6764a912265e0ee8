package containers

import (
	"context"
	"errors"
	"net"
	"time"
)

// A proxy in front of a running container closes a connection that nobody inside accepts as soon as it has been rejected there,
// which takes a few milliseconds. But if it was asked before the container had its network, Linux looks for the container's address
// again only after retrans_time_ms, a second: arp(7).
const (
	Hold     = 100 * time.Millisecond
	HoldLong = 1200 * time.Millisecond
)

// Listens returns nil if an app accepts connections at a published address, and otherwise why not. The container has to run
// (Await). Connections have to stay open for hold: Hold if the app is known to listen inside, else HoldLong.
func Listens(ctx context.Context, addr string, hold time.Duration) error {
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
