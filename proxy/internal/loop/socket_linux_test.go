package loop

import (
	"io"
	"net"
	"os"
	"sync"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// A flood on one connection leaves others their turns.
func TestFloodIsReadInShares(t *testing.T) {
	const flood = 2 << 20
	inTurn, most, got := 0, 0, 0
	flooded, other := make(chan struct{}), make(chan struct{})
	l := newLoop(t, Config{Turn: func() { most, inTurn = max(most, inTurn), 0 }})
	a := &handler{input: func(_ *handler, p []byte) int {
		inTurn += len(p)
		if got += len(p); got == flood {
			close(flooded)
		}
		return len(p)
	}}
	gotBefore := 0
	b := &handler{input: func(_ *handler, p []byte) int {
		gotBefore = got
		close(other)
		return len(p)
	}}
	oursA, theirsA := tcpPair(t)
	defer theirsA.Close()
	oursB, theirsB := tcpPair(t)
	defer theirsB.Close()
	oursA.(*net.TCPConn).SetReadBuffer(flood)
	theirsA.(*net.TCPConn).SetWriteBuffer(flood)
	a.add(l, oursA)
	b.add(l, oursB)
	var writer sync.WaitGroup
	l.Do(func() { // the poller has to wait for this
		theirsA.SetWriteDeadline(time.Now().Add(time.Minute))
		writer.Go(func() { theirsA.Write(make([]byte, flood)) })
		for n := 0; n < 512<<10; n = unreadBytes(t, a.d.(*socket).fd) {
			time.Sleep(time.Millisecond)
		}
		theirsB.Write([]byte("small"))
	})
	wait(t, other, "the small one")
	wait(t, flooded, "the flood")
	writer.Wait()
	l.Do(func() {
		if most > readsMost*readSize {
			t.Errorf("%d bytes were read in one turn", most)
		}
		if gotBefore > readsMost*readSize {
			t.Errorf("%d bytes were read before the other connection had its turn", gotBefore)
		}
	})
}

// Descriptors are closed however a connection ends.
func TestDescriptorsAreClosed(t *testing.T) {
	before := descriptors(t)
	for round := range 50 {
		l, err := New(Config{})
		if err != nil {
			t.Fatal(err)
		}
		for _, k := range kinds {
			for way := range 5 {
				ours, theirs := k.pair(t)
				h := echo()
				h.add(l, ours)
				switch way {
				case 0:
					l.Do(h.Close)
				case 1:
					l.Do(h.Abort)
				case 2: // the peer closes
				case 3:
					back := make(chan net.Conn, 1)
					l.Do(func() {
						h.Detach(func(nc net.Conn, _ []byte, err error) {
							if err != nil {
								t.Error(err)
							}
							back <- nc
						})
					})
					if nc := wait(t, back, "the connection"); nc != nil {
						nc.Close()
					}
				case 4: // the Loop's end
					if round%2 == 0 {
						l.Do(h.Pause)
					}
					defer theirs.Close()
					continue
				}
				theirs.Close()
			}
		}
		l.Close()
	}
	// What case 4 has deferred is still open, a descriptor for each socket.
	if after, mine := descriptors(t), 50*4; after > before+mine {
		t.Errorf("%d descriptors were open, %d are, of which %d may be", before, after, mine)
	}
}

func unreadBytes(t *testing.T, fd int) int {
	n, err := unix.IoctlGetInt(fd, unix.TIOCINQ)
	if err != nil {
		t.Fatal(err)
	}
	return n
}

func descriptors(t *testing.T) int {
	dir, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		t.Fatal(err)
	}
	return len(dir)
}

// A Loop is closed while its connections are busy.
func TestCloseWhileBusy(t *testing.T) {
	for _, noEpoll := range []bool{false, true} {
		l := newLoop(t, Config{NoEpoll: noEpoll})
		var clients sync.WaitGroup
		for range 16 {
			ours, theirs := tcpPair(t)
			echo().add(l, ours)
			clients.Go(func() {
				defer theirs.Close()
				theirs.SetDeadline(time.Now().Add(time.Minute))
				b := make([]byte, 1000)
				for {
					if _, err := theirs.Write(b); err != nil {
						return
					}
					if _, err := io.ReadFull(theirs, b); err != nil {
						return
					}
				}
			})
		}
		time.Sleep(5 * time.Millisecond) // any time will do
		l.Close()
		clients.Wait()
		if n := l.Stats().Conns; n != 0 {
			t.Errorf("%d connections are left", n)
		}
	}
}

// Nothing is allocated for what is read and answered.
func TestEchoAllocatesNothing(t *testing.T) {
	l := newLoop(t, Config{})
	ours, theirs := tcpPair(t)
	defer theirs.Close()
	echo().add(l, ours)
	b := make([]byte, 1000)
	if n := testing.AllocsPerRun(500, func() {
		theirs.Write(b)
		io.ReadFull(theirs, b)
	}); n != 0 {
		t.Errorf("%v allocations", n)
	}
}
