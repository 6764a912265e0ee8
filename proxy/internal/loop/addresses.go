package loop

import (
	"errors"
	"net"
	"time"
)

// addresses stands for a net.Conn that has been closed because its descriptor is the Loop's.
type addresses struct{ local, remote net.Addr }

func (a *addresses) LocalAddr() net.Addr  { return a.local }
func (a *addresses) RemoteAddr() net.Addr { return a.remote }

func (*addresses) Read([]byte) (int, error)         { return 0, errTaken }
func (*addresses) Write([]byte) (int, error)        { return 0, errTaken }
func (*addresses) Close() error                     { return errTaken }
func (*addresses) SetDeadline(time.Time) error      { return errTaken }
func (*addresses) SetReadDeadline(time.Time) error  { return errTaken }
func (*addresses) SetWriteDeadline(time.Time) error { return errTaken }

var errTaken = errors.New("loop: the socket is the Loop's; Detach gives it back")
