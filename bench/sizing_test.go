package bench

import (
	"bufio"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/sluice-proxy/sluice/internal/orphans"
)

// small is the load of BenchmarkSizing, and limit its containerConcurrency.
var small = load{proto: "http1"}

const limit = 100

// BenchmarkSizing measures the binaries as processes, with metrics on: the CPU time of a small request over one of 64 kept
// connections, and the memory of requests that are held. docs/operations.md has the conclusions for pods.
//
//	go test -run '^$' -bench Sizing -benchtime 200000x ./bench
func BenchmarkSizing(b *testing.B) {
	if _, err := os.Stat("/proc/self/stat"); err != nil {
		b.Skip("there is no /proc to read a process's CPU time and memory from")
	}
	dir := b.TempDir()
	buildReleased(b, dir, module+"/cmd/activator", module+"/cmd/queue-proxy")
	b.Run("queue-proxy", func(b *testing.B) {
		addr, p := queueProxyProcess(b, dir, small.backend(b), limit)
		requestsThrough(b, addr, p)
	})
	b.Run("activator", func(b *testing.B) {
		pod, _ := queueProxyProcess(b, dir, small.backend(b), limit)
		addr, p := activatorProcess(b, dir, pod)
		requestsThrough(b, addr, p)
	})
	b.Run("activator-held", func(b *testing.B) {
		addr, p := activatorProcess(b, dir, "")
		hold(b, addr, p, 5000)
	})
	b.Run("queue-proxy-held", func(b *testing.B) {
		addr, p := queueProxyProcess(b, dir, "127.0.0.1:1", 500) // no app listens, so that all requests are held
		hold(b, addr, p, 5000)
	})
}

// process is one of the binaries.
type process struct{ pid int }

func (p process) start(b *testing.B, name string, env []string, args ...string) process {
	b.Helper()
	cmd := exec.Command(name, args...)
	cmd.Env = append(os.Environ(), env...)
	log, err := os.Create(filepath.Join(b.TempDir(), "log"))
	if err != nil {
		b.Fatal(err)
	}
	cmd.Stdout, cmd.Stderr = log, log
	if err := orphans.StartFor(b, cmd); err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() {
		_ = cmd.Process.Signal(syscall.SIGKILL)
		_ = cmd.Wait()
		_ = log.Close()
		if text, err := os.ReadFile(log.Name()); err == nil && b.Failed() {
			b.Logf("%s: %s", name, text)
		}
	})
	return process{cmd.Process.Pid}
}

// cpu returns the process's CPU time, user and system.
func (p process) cpu(b *testing.B) time.Duration {
	b.Helper()
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", p.pid))
	if err != nil {
		b.Fatal(err)
	}
	fields := strings.Fields(string(text[strings.LastIndexByte(string(text), ')')+2:])) // proc(5): from the 3rd on
	var ticks int
	for _, f := range fields[11:13] {
		n, err := strconv.Atoi(f)
		if err != nil {
			b.Fatal(err)
		}
		ticks += n
	}
	return time.Duration(ticks) * 10 * time.Millisecond // USER_HZ is 100
}

// resident returns the process's resident memory in KiB.
func (p process) resident(b *testing.B) float64 {
	b.Helper()
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", p.pid))
	if err != nil {
		b.Fatal(err)
	}
	_, rest, _ := strings.Cut(string(text), "VmRSS:")
	n, err := strconv.Atoi(strings.Fields(rest)[0])
	if err != nil {
		b.Fatal(err)
	}
	return float64(n)
}

// requestsThrough reports the process's CPU time for each of b.N requests.
func requestsThrough(b *testing.B, addr string, p process) {
	before := p.cpu(b)
	b.ResetTimer()
	parallel(b, 0, small.clients(b, addr))
	b.StopTimer()
	b.ReportMetric(float64((p.cpu(b)-before).Microseconds())/float64(b.N), "cpu-µs/req")
	b.ReportMetric(p.resident(b)/1024, "MiB")
}

// hold reports the memory of each of n waiting requests, 10 s after the last one has come.
func hold(b *testing.B, addr string, p process, n int) {
	before := p.resident(b)
	for i := range n {
		c, err := net.Dial("tcp", addr)
		if err != nil {
			b.Fatal(err)
		}
		defer c.Close()
		if _, err := fmt.Fprintf(c, "GET /%d HTTP/1.1\r\nHost: %s\r\nUser-Agent: bench/1\r\nAccept: */*\r\n\r\n", i, host); err != nil {
			b.Fatal(err)
		}
	}
	time.Sleep(10 * time.Second)
	b.ReportMetric((p.resident(b)-before)/float64(n), "KiB/held")
	b.ReportMetric(0, "ns/op") // means nothing here
}

// queueProxyProcess runs a queue-proxy in front of the app, with a prefix of programs that execute it, if any.
func queueProxyProcess(b *testing.B, dir, app string, limit int, by ...string) (addr string, p process) {
	b.Helper()
	command := append(by, filepath.Join(dir, "queue-proxy"))
	addr = freeAddr(b)
	_, port, _ := net.SplitHostPort(addr)
	host, appPort, _ := net.SplitHostPort(app)
	p = p.start(b, command[0], []string{
		"CONTAINER_CONCURRENCY=" + strconv.Itoa(limit), "QUEUE_SERVING_PORT=" + port, "USER_PORT=" + appPort,
		"REVISION_TIMEOUT_SECONDS=300", "REVISION_RESPONSE_START_TIMEOUT_SECONDS=0", "SERVING_LOGGING_CONFIG=", "SERVING_LOGGING_LEVEL=", "SERVING_NAMESPACE=default",
		"SERVING_CONFIGURATION=bench", "SERVING_REVISION=bench", "SERVING_POD=bench-pod", "SERVING_POD_IP=127.0.0.1",
		"SLUICE_USER_HOST=" + host, "SLUICE_BIND_ADDRESS=127.0.0.1", "SLUICE_ADMIN_PORT=0", "SLUICE_STATS_PORT=0",
		`OBSERVABILITY_CONFIG={"requestMetrics":{"protocol":"prometheus","endpoint":"127.0.0.2:` + port + `"}}`,
	}, command[1:]...)
	listening(b, addr)
	return addr, p
}

// activatorProcess runs an activator with one revision; without a pod requests wait.
func activatorProcess(b *testing.B, dir, pod string, flags ...string) (addr string, p process) {
	b.Helper()
	config := "revisions:\n- {namespace: default, name: bench, containerConcurrency: " + strconv.Itoa(limit)
	if pod != "" {
		config += `, pods: [{address: "` + pod + `"}]`
	}
	file := filepath.Join(b.TempDir(), "revisions.yaml")
	if err := os.WriteFile(file, []byte(config+"}\n"), 0o600); err != nil {
		b.Fatal(err)
	}
	addr = freeAddr(b)
	_, port, _ := net.SplitHostPort(addr)
	p = p.start(b, filepath.Join(dir, "activator"), nil, append([]string{
		"-config", file, "-bind", "127.0.0.1", "-http1-port", port, "-http2-port", "0", "-metrics-port", "0",
	}, flags...)...)
	listening(b, addr)
	return addr, p
}

// listening waits until a program accepts connections at addr.
func listening(b *testing.B, addr string) {
	b.Helper()
	for deadline := time.Now().Add(time.Minute); ; time.Sleep(10 * time.Millisecond) {
		if c, err := net.Dial("tcp", addr); err == nil {
			_ = c.SetDeadline(time.Now().Add(time.Second))
			fmt.Fprintf(c, "GET / HTTP/1.1\r\nHost: x\r\nK-Network-Probe: x\r\nConnection: close\r\n\r\n")
			_, err := bufio.NewReader(c).ReadByte()
			_ = c.Close()
			if err == nil {
				return
			}
		}
		if time.Now().After(deadline) {
			b.Fatal("no program answers at " + addr)
		}
	}
}
