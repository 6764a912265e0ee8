package queueproxy

import (
	"context"
	"net/netip"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// A connect to which the kernel has no result yet, as on a busy machine that hasn't processed the refusal, made an app that
// never listened ready. A listener whose queue is full leaves a connect pending in the same way.
func TestPendingConnectIsNotListening(t *testing.T) {
	ln, err := unix.Socket(unix.AF_INET, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer unix.Close(ln)
	if err := unix.Bind(ln, &unix.SockaddrInet4{Addr: [4]byte{127, 0, 0, 1}}); err != nil {
		t.Fatal(err)
	}
	if err := unix.Listen(ln, 0); err != nil { // one connection fits in the queue (tcp(7), listen(2))
		t.Fatal(err)
	}
	local, err := unix.Getsockname(ln)
	if err != nil {
		t.Fatal(err)
	}
	addr := netip.AddrPortFrom(netip.AddrFrom4([4]byte{127, 0, 0, 1}), uint16(local.(*unix.SockaddrInet4).Port))
	first, second := connectPoller{addr: addr, fd: -1}, connectPoller{addr: addr, fd: -1}
	defer first.close()
	defer second.close()
	for _, k := range []*connectPoller{&first, &second} {
		if err := k.open(); err != nil {
			t.Fatal(err)
		}
	}
	for !first.try() { // fills the queue
		time.Sleep(time.Millisecond)
	}
	for range 2 {
		if second.try() {
			t.Error("a pending connect counts as listening")
		}
	}
	if fd, _, err := unix.Accept(ln); err != nil {
		t.Error(err)
	} else {
		defer unix.Close(fd)
	}
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute) // the kernel sends the SYN again after a second
	defer cancel()
	for !second.try() {
		if ctx.Err() != nil {
			t.Fatal("the connect that was pending has no result after a minute")
		}
		time.Sleep(time.Millisecond)
	}
}
