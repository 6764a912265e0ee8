package proxytest

import (
	"context"
	"net"
	"strings"
)

// dialOrHang dials, but for one name that takes as long as it may.
func dialOrHang(ctx context.Context, network, addr string) (net.Conn, error) {
	if strings.HasPrefix(addr, "dial-timeout:") {
		<-ctx.Done()
		return nil, &net.OpError{Op: "dial", Net: network, Err: ctx.Err()}
	}
	var d net.Dialer
	return d.DialContext(ctx, network, addr)
}
