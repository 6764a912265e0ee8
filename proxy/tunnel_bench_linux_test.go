package proxy_test

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"os"
	"strings"
	"testing"
	"time"
)

// BenchmarkTunnel is what a proxy's process spends on bytes through an upgraded connection, in milliseconds of CPU per GiB:
// from socket to socket, and by copies, which are what connections without a socket of their own get.
//
//	go test -run '^$' -bench Tunnel ./proxy
func BenchmarkTunnel(b *testing.B) {
	for _, frame := range []int{1 << 10, 16 << 10, 256 << 10} {
		for name, how := range map[string]string{"splice": "", "copy": copying} {
			b.Run(fmt.Sprintf("frame=%dKiB/by=%s", frame>>10, name), func(b *testing.B) {
				const each = 64 << 20
				frames := make([]byte, frame)
				addr, pid := memoryServer(b, upgradedApp(b, func(c net.Conn) {
					for {
						if _, err := c.Write(frames); err != nil {
							return
						}
					}
				}), how)
				c, err := net.Dial("tcp", addr)
				if err != nil {
					b.Fatal(err)
				}
				defer c.Close()
				if _, err := io.WriteString(c, "GET / HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: echo\r\n\r\n"); err != nil {
					b.Fatal(err)
				}
				b.SetBytes(each)
				before, buf := busy(b, pid), make([]byte, 256<<10)
				for b.Loop() {
					for n := 0; n < each; {
						m, err := c.Read(buf)
						if err != nil {
							b.Fatal(err)
						}
						n += m
					}
				}
				gib := float64(b.N) * each / (1 << 30)
				b.ReportMetric(float64((busy(b, pid)-before).Milliseconds())/gib, "CPU-ms/GiB")
			})
		}
	}
}

// upgradedApp upgrades each connection, and gives it to f.
func upgradedApp(b *testing.B, f func(net.Conn)) (addr string) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		b.Fatal(err)
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			go func() {
				defer c.Close()
				in := bufio.NewReader(c)
				for {
					line, err := in.ReadString('\n')
					if err != nil {
						return
					}
					if line == "\r\n" {
						break
					}
				}
				_, _ = io.WriteString(c, upgradedTo)
				f(c)
			}()
		}
	}()
	b.Cleanup(func() { l.Close(); <-done })
	return l.Addr().String()
}

// busy is the time that a process has had of processors. The unit in /proc, USER_HZ, is 10 ms wherever Go runs.
func busy(b *testing.B, pid int) time.Duration {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		b.Fatal(err)
	}
	fields := strings.Fields(string(text[strings.LastIndexByte(string(text), ')')+2:]))
	var user, system int64
	if _, err := fmt.Sscan(fields[11]+" "+fields[12], &user, &system); err != nil {
		b.Fatal(err)
	}
	return time.Duration(user+system) * 10 * time.Millisecond
}
