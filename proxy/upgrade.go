package proxy

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"sync/atomic"
	"time"

	"github.com/sluice-proxy/sluice/proxy/internal/h1"
	"github.com/sluice-proxy/sluice/proxy/internal/netio"
)

// upgrade passes a 101 on and then bytes, both ways, until both directions have ended. An end in one direction is
// passed on as such; a failure in one ends the other.
func (t *try) upgrade(resp *http.Response, protocol string) error {
	ex := t.ex
	back, ok := resp.Body.(tunnelEnd)
	if !ok {
		return malformed("101 on a connection that can't be written to")
	}
	if !ex.clock.begin() {
		return ex.why()
	}
	client, buffered, err := ex.rc.Hijack()
	if err != nil {
		return &Error{Reason: Internal, Err: fmt.Errorf("upgrade: %w", err)}
	}
	defer client.Close()
	ex.writing.Store(true)
	ex.tunnelled = true
	ex.result.Reason, ex.result.Status, ex.result.Start = ReasonNone, resp.StatusCode, time.Since(ex.req.Arrived)
	tun := tunnel{h: ex.h, clock: &ex.clock, up: &ex.bytesUp, down: &ex.bytesOut, why: ex.ended, protocol: protocol, client: client, upstream: back, link: t.conn.link}
	if !ex.clock.take(tun.cut) { // a timeout in between found nothing to cut
		return ex.why()
	}
	resp.Header["Connection"] = []string{"Upgrade"}
	resp.Header["Upgrade"] = []string{protocol}
	if err := writeSwitching(buffered.Writer, resp.Header); err != nil {
		return ex.clientWrite()
	}
	return tun.run(buffered.Reader)
}

func writeSwitching(w *bufio.Writer, h http.Header) error {
	_, _ = w.Write(h1.AppendStatusLine(nil, http.StatusSwitchingProtocols, http.StatusText(http.StatusSwitchingProtocols)))
	_ = h.Write(w)
	_, _ = w.Write(h1.AppendEnd(nil))
	return w.Flush() // has the error of the others
}

// tunnelEnd is one end of an upgraded connection.
type tunnelEnd interface {
	io.ReadWriteCloser
	CloseWrite() error
}

// tunnel is an upgraded connection.
type tunnel struct {
	h        *Handler
	clock    *clock
	up, down *atomic.Int64 // bytes
	why      func() *Error // what ended the exchange; nil: nothing
	protocol string
	client   net.Conn
	upstream tunnelEnd
	link     interface{ SetDeadline(time.Time) error } // below upstream

	spliceUp, spliceDown *netio.Splice // nil: one of the ends is more than a socket

	severed atomic.Bool
	over    atomic.Bool // the upstream has ended, and there is no more to it
}

// run copies both ways until both have ended. The way up has a goroutine of its own, for which run waits.
func (t *tunnel) run(client io.Reader) error {
	up := make(chan error, 1)
	go func() {
		up <- t.copy(&lane{t: t, src: client, dst: t.upstream, splice: t.spliceUp, bytes: t.up, up: true})
	}()
	down := t.copy(&lane{t: t, src: t.upstream, dst: clientEnd{t.client}, splice: t.spliceDown, bytes: t.down})
	err := errors.Join(<-up, down)
	if err == nil {
		return nil
	}
	if e := t.why(); e != nil {
		return e
	}
	if e, ok := errors.AsType[*Error](err); ok {
		return e
	}
	return &Error{Reason: Internal, Err: err}
}

// copy moves bytes until the source ends, which it passes on. A failure cuts both ends, so that the other copy ends. So does
// the end of a websocket's upstream, which has said its last by then (RFC 6455 §7.1.1): a client that leaves its half open,
// or has vanished, would keep the slot of a pod in which nobody serves it. Other protocols may end one half only.
func (t *tunnel) copy(l *lane) error {
	defer l.rest()
	for {
		err, werr := l.move()
		switch {
		case werr != nil:
			return t.broken(!l.up, werr)
		case err == io.EOF:
			if l.dst.CloseWrite() != nil {
				t.cut()
			}
			if !l.up && strings.EqualFold(t.protocol, "websocket") {
				t.over.Store(true)
				_ = t.client.SetReadDeadline(time.Now().Add(afterAnswer))
			}
			return nil
		case err != nil && l.up && t.over.Load():
			t.cut()
			return nil
		case err != nil:
			return t.broken(l.up, err)
		}
	}
}

// broken ends both directions after the failure of one end.
func (t *tunnel) broken(client bool, err error) error {
	if !t.severed.CompareAndSwap(false, true) {
		return nil // the other copy's failure cut this one
	}
	t.cut()
	if client {
		return errClientGone
	}
	return &Error{Reason: UpstreamClosed, Err: err}
}

// cut makes every read and write at both ends fail. It does not block, as a Close of TLS may.
func (t *tunnel) cut() {
	past := time.Now().Add(-time.Second)
	_ = t.client.SetDeadline(past)
	_ = t.link.SetDeadline(past)
}

type halfWriter interface {
	io.Writer
	CloseWrite() error
}

// clientEnd gives a connection without CloseWrite one that fails.
type clientEnd struct{ net.Conn }

func (c clientEnd) CloseWrite() error {
	if hc, ok := c.Conn.(halfWriter); ok {
		return hc.CloseWrite()
	}
	return errors.ErrUnsupported
}
