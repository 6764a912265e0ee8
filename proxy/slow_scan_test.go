package proxy

import (
	"net"
	"sync"
	"testing"
	"time"
)

// slowFlow is one that the next tick finds, of a client on conn; nil is one that can't be watched.
func slowFlow(t testing.TB, e *Engine, conn net.Conn) *flow {
	t.Helper()
	c := &client{e: e, conn: conn}
	if udp, ok := conn.(*net.UDPConn); ok {
		raw, err := udp.SyscallConn()
		if err != nil {
			t.Fatal(err)
		}
		c.sock = raw
	}
	f := &flow{e: e, h: e.h, c: c, req: Request{Arrived: time.Now().Add(-time.Second)}}
	f.clock.init(f, "", f.req.Arrived)
	f.clock.reset(f.req.Arrived)
	f.clock.start(Timeouts{Total: time.Hour}, time.Time{})
	return f
}

// What is done about a request that has become slow keeps no other from beginning and ending, but the request itself.
func TestF7SlowRequestsKeepNobody(t *testing.T) {
	at, proceed := make(chan bool), make(chan bool)
	h, err := New(Config{Name: "x", Policy: noContent{}, OnUnwatched: func() { at <- true; <-proceed }})
	if err != nil {
		t.Fatal(err)
	}
	e := NewEngine(h, ServerConfig{})
	defer h.Close()
	defer e.Close()
	slow, other := slowFlow(t, e, nil), slowFlow(t, e, nil)
	defer slow.clock.stop()
	e.scan.join(slow)
	select {
	case <-at:
	case <-time.After(time.Minute):
		t.Fatal("the slow one is not found")
	}
	passed := make(chan bool)
	go func() {
		other.req.Arrived = time.Now().Add(time.Hour)
		e.scan.join(other)
		passed <- e.scan.leave(other)
	}()
	select {
	case in := <-passed:
		if !in {
			t.Error("the other was called slow")
		}
	case <-time.After(time.Minute):
		t.Error("the other has to wait")
	}
	left := make(chan bool)
	go func() { left <- e.scan.leave(slow) }()
	select {
	case <-left:
		t.Error("the slow one has ended before it has been dealt with")
	default:
	}
	proceed <- true
	if <-left {
		t.Error("the slow one was not called so")
	}
}

// Flows that begin and end while others are found slow: every one is dealt with once, or leaves before.
func TestF7ScanRaces(t *testing.T) {
	h, err := New(Config{Name: "x", Policy: noContent{}})
	if err != nil {
		t.Fatal(err)
	}
	e := NewEngine(h, ServerConfig{})
	defer h.Close()
	defer e.Close()
	e.scan.close() // the ticks are ours
	var all sync.WaitGroup
	for range 8 {
		all.Go(func() {
			for range 500 {
				f := slowFlow(t, e, nil)
				e.scan.join(f)
				time.Sleep(time.Microsecond)
				in := e.scan.leave(f)
				f.clock.stop()
				if f.late == in {
					t.Errorf("late: %v, but it was still there: %v", f.late, in)
				}
			}
		})
	}
	for i := range 400 {
		if e.scan.tick(); i%10 == 0 {
			time.Sleep(time.Millisecond)
		}
	}
	all.Wait()
}

// BenchmarkScanWhileManyBecomeSlow has 5000 requests become slow at once, in each iteration, and tells how long others have to
// wait meanwhile to begin and to end: on average, and at the most.
func BenchmarkScanWhileManyBecomeSlow(b *testing.B) {
	h, err := New(Config{Name: "x", Policy: noContent{}})
	if err != nil {
		b.Fatal(err)
	}
	e := NewEngine(h, ServerConfig{})
	defer h.Close()
	defer e.Close()
	flows := make([]*flow, 5000)
	for i := range flows {
		conn, err := net.ListenUDP("udp", &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1)}) // one descriptor each
		if err != nil {
			b.Fatal(err)
		}
		defer conn.Close()
		flows[i] = slowFlow(b, e, conn)
		defer flows[i].clock.stop()
	}
	other := slowFlow(b, e, nil)
	e.scan.close() // the ticks are ours
	var most, sum time.Duration
	n := 0
	for b.Loop() {
		b.StopTimer()
		for _, f := range flows {
			f.c.unwatch()
			f.clock.patient = true
			e.scan.join(f)
		}
		other.req.Arrived = time.Now().Add(time.Hour)
		done := make(chan bool)
		b.StartTimer()
		go func() { defer close(done); e.scan.tick() }()
		for over := false; !over; n++ {
			begin := time.Now()
			e.scan.join(other)
			e.scan.leave(other)
			d := time.Since(begin)
			most, sum = max(most, d), sum+d
			select {
			case <-done:
				over = true
			default:
			}
		}
	}
	b.ReportMetric(float64(sum.Nanoseconds())/float64(n), "ns/begin+end")
	b.ReportMetric(float64(most.Microseconds()), "most-µs")
}
