package proxy

import (
	"context"
	"net"
)

type watch struct{}

func (*watch) close() {}

// ConnContext is for http.Server.ConnContext.
func ConnContext(ctx context.Context, c net.Conn) context.Context { return ctx }

func (ex *exchange) watchClient() (unwatch func()) { return func() {} }
