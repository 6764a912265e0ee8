package broker

import (
	"bufio"
	"bytes"
	"fmt"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"
)

// BenchmarkIngress sends events of 1 KiB over 64 connections to a broker with so many triggers, of which one wants them, and prints events per second, the 99th percentile, and how often the disk syncs
// when nothing else happens, measured in the same directory just before.
func BenchmarkIngress(b *testing.B) {
	for _, triggers := range []int{0, 1, 1000} {
		b.Run(fmt.Sprintf("triggers=%d", triggers), func(b *testing.B) {
			dir := b.TempDir()
			syncs := syncRate(b, dir)
			s, addr := benchServer(b, dir)
			if triggers > 0 {
				quiet := &http.Server{Handler: http.HandlerFunc(func(http.ResponseWriter, *http.Request) {})}
				l := listen(b)
				go quiet.Serve(l)
				defer quiet.Close()
				for i := range triggers { // one of them wants the events
					t := Trigger{ID: ID{"default", fmt.Sprint("t", i)}, Broker: brokerID.Name, Subscriber: "http://" + l.Addr().String()}
					if t.Filter.Attributes = map[string]string{"type": fmt.Sprint("bench", i)}; i == 0 {
						t.Filter.Attributes["type"] = "bench"
					}
					if err := s.SetTrigger(t); err != nil {
						b.Fatal(err)
					}
				}
			}
			request := rawEvent("id", "", 1024)
			var mu sync.Mutex
			var all []time.Duration
			var left atomic.Int64
			left.Store(int64(b.N))
			cpu := cpuTime(b)
			b.ResetTimer()
			began := time.Now()
			var clients sync.WaitGroup
			for range min(64, b.N) {
				c := dial(b, addr)
				clients.Go(func() {
					var took []time.Duration
					for left.Add(-1) >= 0 {
						begin := time.Now()
						if !c.send(request) {
							b.Error("an event was not taken")
							return
						}
						took = append(took, time.Since(begin))
					}
					mu.Lock()
					defer mu.Unlock()
					all = append(all, took...)
				})
			}
			clients.Wait()
			b.StopTimer()
			b.ReportMetric(float64(len(all))/time.Since(began).Seconds(), "events/s")
			b.ReportMetric(float64(percentile(all, 99).Microseconds()), "p99-µs")
			b.ReportMetric(syncs, "fsync/s")
			b.ReportMetric(float64((cpuTime(b)-cpu).Microseconds())/float64(len(all)), "cpu-µs/event")
			b.ReportMetric(0, "ns/op")
		})
	}
}

// BenchmarkBlockedKey prints the 99th percentile of the time from an event's arrival to its delivery, for 1000 keys at 1000 events per
// second, alone and beside a key whose sink never answers.
func BenchmarkBlockedKey(b *testing.B) {
	for range b.N {
		alone := blockedKey(b, false)
		beside := blockedKey(b, true)
		b.ReportMetric(float64(alone.Microseconds()), "p99-alone-µs")
		b.ReportMetric(float64(beside.Microseconds()), "p99-beside-µs")
		b.ReportMetric((float64(beside)/float64(alone)-1)*100, "percent-more")
	}
	b.ReportMetric(0, "ns/op")
}

func blockedKey(b *testing.B, blocked bool) time.Duration {
	const keys, events, every = 1000, 5000, time.Millisecond
	s, addr := benchServer(b, b.TempDir())
	var mu sync.Mutex
	sent, took := make([]time.Time, events), make([]time.Duration, 0, events)
	all := make(chan struct{})
	release := make(chan struct{})
	sink := &http.Server{Handler: http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		if r.Header.Get("Ce-Subject") == "blocked" {
			<-release
			return
		}
		var n int
		fmt.Sscan(r.Header.Get("Ce-Id"), &n)
		mu.Lock()
		defer mu.Unlock()
		if took = append(took, time.Since(sent[n])); len(took) == events {
			close(all)
		}
	})}
	l := listen(b)
	go sink.Serve(l)
	defer sink.Close()
	defer close(release)
	if err := s.SetTrigger(Trigger{ID: ID{"default", "t"}, Broker: brokerID.Name, Key: "subject", Subscriber: "http://" + l.Addr().String()}); err != nil {
		b.Fatal(err)
	}
	c := dial(b, addr)
	runtime.GC()
	ticks := time.NewTicker(every)
	defer ticks.Stop()
	for n := range events {
		<-ticks.C
		if blocked && n%10 == 0 {
			c.send(rawEvent("b", "blocked", 100))
		}
		mu.Lock()
		sent[n] = time.Now()
		mu.Unlock()
		if !c.send(rawEvent(fmt.Sprint(n), fmt.Sprintf("k%d", n%keys), 100)) {
			b.Fatal("an event was not taken")
		}
	}
	<-all
	return percentile(took, 99)
}

func percentile(all []time.Duration, p int) time.Duration {
	slices.Sort(all)
	return all[len(all)*p/100]
}

func listen(b *testing.B) net.Listener {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		b.Fatal(err)
	}
	return l
}

func benchServer(b *testing.B, dir string) (*Server, string) {
	s, err := Open(Config{Dir: filepath.Join(dir, "broker"), Grace: -1})
	if err != nil {
		b.Fatal(err)
	}
	if err := s.SetBroker(Broker{ID: brokerID}); err != nil {
		b.Fatal(err)
	}
	front := &http.Server{Handler: s}
	l := listen(b)
	go front.Serve(l)
	b.Cleanup(func() {
		front.Close()
		s.Close()
	})
	return s, l.Addr().String()
}

// cpuTime is what the process, clients included, has used: unlike events per second it doesn't depend on what else the machine does.
func cpuTime(b *testing.B) time.Duration {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		b.Fatal(err)
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

// syncRate returns how often a second 1 KiB is written to a file and synced.
func syncRate(b *testing.B, dir string) float64 {
	f, err := os.Create(filepath.Join(dir, "sync"))
	if err != nil {
		b.Fatal(err)
	}
	defer f.Close()
	block := make([]byte, 1024)
	n, began := 0, time.Now()
	for ; time.Since(began) < 300*time.Millisecond; n++ {
		if _, err := f.Write(block); err != nil {
			b.Fatal(err)
		}
		if err := f.Sync(); err != nil {
			b.Fatal(err)
		}
	}
	return float64(n) / time.Since(began).Seconds()
}

// rawEvent is a request with an event in binary mode.
func rawEvent(id, subject string, size int) []byte {
	var b bytes.Buffer
	fmt.Fprintf(&b, "POST /default/example-broker HTTP/1.1\r\nHost: broker\r\nCe-Specversion: 1.0\r\nCe-Id: %s\r\nCe-Source: bench\r\nCe-Type: bench\r\n", id)
	if subject != "" {
		fmt.Fprintf(&b, "Ce-Subject: %s\r\n", subject)
	}
	fmt.Fprintf(&b, "Content-Type: text/plain\r\nContent-Length: %d\r\n\r\n", size)
	b.Write(bytes.Repeat([]byte("x"), size))
	return b.Bytes()
}

// client is a connection that costs little, so that a benchmark measures the broker.
type client struct {
	conn net.Conn
	r    *bufio.Reader
}

func dial(b *testing.B, addr string) *client {
	conn, err := net.Dial("tcp", addr)
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { conn.Close() })
	return &client{conn, bufio.NewReader(conn)}
}

// send tells whether the response to a request has the status 202. It reads a response without a body.
func (c *client) send(request []byte) bool {
	if _, err := c.conn.Write(request); err != nil {
		return false
	}
	line, err := c.r.ReadSlice('\n')
	if err != nil {
		return false
	}
	accepted := bytes.Contains(line, []byte(" 202 "))
	for len(line) > 2 {
		if line, err = c.r.ReadSlice('\n'); err != nil {
			return false
		}
	}
	return accepted
}
