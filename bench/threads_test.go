package bench

import (
	"context"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"testing"
	"time"

	traffic "github.com/sluice-proxy/sluice/bench/internal/load" // load is a type here
	"github.com/sluice-proxy/sluice/bench/internal/origin"
)

// BenchmarkThreads shows the reason of internal/procs' rule: requests per second through a queue-proxy, and their 99th
// percentile, by its number of threads, with exclusive and with shared CPUs. Shared means that client, app and proxy use all
// CPUs; exclusive that client and app use the first half of them, and the proxy the other half.
//
//	go test -run '^$' -bench Threads -benchtime 1x -count 5 ./bench     # taskset and wrk are needed
func BenchmarkThreads(b *testing.B) {
	for _, program := range []string{"taskset", "wrk"} {
		if _, err := exec.LookPath(program); err != nil {
			b.Skip(program + " isn't installed")
		}
	}
	n := runtime.NumCPU()
	if n < 2 {
		b.Skip("with one CPU the proxy can't have exclusive ones")
	}
	dir := b.TempDir()
	buildReleased(b, dir, module+"/cmd/queue-proxy")
	all, first, second := "0-"+strconv.Itoa(n-1), "0-"+strconv.Itoa(n/2-1), strconv.Itoa(n/2)+"-"+strconv.Itoa(n-1)
	for _, place := range []struct{ name, clients, proxy string }{{"owned", first, second}, {"shared", all, all}} {
		for threads := 1; threads <= max(2, n); threads *= 2 {
			for _, conns := range []int{1, 64} {
				b.Run(fmt.Sprintf("cpus=%s/threads=%d/conns=%d", place.name, threads, conns), func(b *testing.B) {
					app := originProcess(b, place.clients)
					addr, p := queueProxyProcess(b, dir, app, limit, "taskset", "-c", place.proxy, "env", "GOMAXPROCS="+strconv.Itoa(threads))
					underWrk(b, p, traffic.Run{
						Dir: b.TempDir(), Target: traffic.Target{Addr: addr, Path: origin.Small, Protocol: traffic.HTTP1},
						CPUs: place.clients, Connections: conns, Duration: 5 * time.Second,
					})
				})
			}
		}
	}
}

// underWrk makes b.N runs of wrk after a warm-up, and reports their mean rate and the worst percentile.
func underWrk(b *testing.B, p process, r traffic.Run) {
	b.Helper()
	run := func() traffic.Result {
		result, err := traffic.Wrk(b.Context(), r)
		if err != nil {
			b.Fatal(err)
		}
		return result
	}
	run()
	requests, elapsed, p99, before := 0, time.Duration(0), time.Duration(0), p.cpu(b)
	for range b.N {
		result := run()
		requests += result.Requests
		elapsed += result.Elapsed
		p99 = max(p99, result.P99)
	}
	b.ReportMetric(float64(requests)/elapsed.Seconds(), "req/s")
	b.ReportMetric(float64(p99.Microseconds()), "p99-µs")
	b.ReportMetric(float64((p.cpu(b)-before).Microseconds())/float64(requests), "cpu-µs/req")
	b.ReportMetric(0, "ns/op") // means nothing here
}

// originVariable makes the test binary run the app, at the address in it.
const originVariable = "SLUICE_BENCH_ORIGIN"

// originProcess runs the app as a process on the given CPUs.
func originProcess(b *testing.B, cpus string) (addr string) {
	b.Helper()
	self, err := os.Executable()
	if err != nil {
		b.Fatal(err)
	}
	addr = freeAddr(b)
	process{}.start(b, "taskset", []string{originVariable + "=" + addr}, "-c", cpus, self)
	listening(b, addr)
	return addr
}

// serveOrigin runs the app in that process, until it is killed.
func serveOrigin(addr string) error {
	l, err := net.Listen("tcp", addr)
	if err != nil {
		return err
	}
	return origin.Serve(context.Background(), l, origin.New())
}

// buildReleased builds programs as for the images.
func buildReleased(b *testing.B, dir string, packages ...string) {
	b.Helper()
	cmd := exec.Command("go", append([]string{"build", "-trimpath", "-ldflags", "-s -w", "-o", dir + string(filepath.Separator)}, packages...)...)
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := cmd.CombinedOutput(); err != nil {
		b.Fatalf("go build: %v\n%s", err, out)
	}
}
