package bench

import (
	"cmp"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptrace"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/sluice-proxy/sluice/internal/orphans"
)

// pause is the time between two starts: after the answer three processes still initialise, for longer than the whole start
// took, and two starts at once would measure the scheduler.
const pause = 250 * time.Millisecond

const module = "github.com/sluice-proxy/sluice"

// start is one cold start: four times, in their order.
type start struct {
	sent, listened, entered, firstByte time.Time
	app                                time.Duration // the handler's own time
}

// tax is the overhead of a start beyond the app's own time.
func (s start) tax() time.Duration { return s.firstByte.Sub(s.listened) - s.app }

// BenchmarkColdStart sends one request to each of b.N services at zero, one after the other. An app that listens at once does
// so while its queue-proxy is still starting on the same cores; if the app takes 100 ms, its queue-proxy is already waiting
// for it, as with most apps.
func BenchmarkColdStart(b *testing.B) {
	dir := b.TempDir()
	build(b, dir)
	for _, after := range []time.Duration{0, 100 * time.Millisecond} {
		b.Run(fmt.Sprintf("listens-after=%v", after), func(b *testing.B) { coldStarts(b, dir, after) })
	}
}

func coldStarts(b *testing.B, dir string, listensAfter time.Duration) {
	addr := quickstart(b, dir, b.N, listensAfter)
	b.ResetTimer()
	starts := make([]start, b.N)
	for i := range starts {
		starts[i] = coldStart(b, addr, i)
		time.Sleep(pause)
	}
	b.StopTimer()
	report(b, "tax", starts, start.tax)
	report(b, "to-listen", starts, func(s start) time.Duration { return s.listened.Sub(s.sent) })
	report(b, "listen-to-app", starts, func(s start) time.Duration { return s.entered.Sub(s.listened) })
	report(b, "app-to-client", starts, func(s start) time.Duration { return s.firstByte.Sub(s.entered) - s.app })
	b.ReportMetric(0, "ns/op") // means nothing here
}

// report reports the 50th and the 99th percentile of a part, in milliseconds.
func report(b *testing.B, part string, starts []start, of func(start) time.Duration) {
	sorted := slices.SortedFunc(slices.Values(starts), func(x, y start) int { return cmp.Compare(of(x), of(y)) })
	for _, p := range []int{50, 99} {
		at := of(sorted[min(len(sorted)*p/100, len(sorted)-1)])
		b.ReportMetric(at.Seconds()*1000, fmt.Sprintf("%s-p%d-ms", part, p))
	}
}

func coldStart(b *testing.B, addr string, i int) start {
	b.Helper()
	tr := &http.Transport{DialContext: func(ctx context.Context, network, _ string) (net.Conn, error) {
		return (&net.Dialer{}).DialContext(ctx, network, addr)
	}}
	defer tr.CloseIdleConnections()
	var s start
	ctx, cancel := context.WithTimeout(httptrace.WithClientTrace(b.Context(), &httptrace.ClientTrace{
		GotFirstResponseByte: func() { s.firstByte = time.Now() },
	}), time.Minute)
	defer cancel()
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, fmt.Sprintf("http://bench-%d.default.localhost/", i), nil)
	if err != nil {
		b.Fatal(err)
	}
	s.sent = time.Now()
	resp, err := tr.RoundTrip(r)
	if err != nil {
		b.Fatal(err)
	}
	defer func() { _ = resp.Body.Close() }()
	if _, err := io.Copy(io.Discard, resp.Body); err != nil || resp.StatusCode != http.StatusOK {
		b.Fatalf("%s, %v", resp.Status, err)
	}
	s.listened, s.entered = moment(b, resp, "X-Listen-At"), moment(b, resp, "X-Entered-At")
	s.app = moment(b, resp, "X-Answered-At").Sub(s.entered)
	if s.listened.Before(s.sent) {
		b.Fatalf("service %d was up before its request", i)
	}
	return s
}

// moment reads a wall clock in nanoseconds, which all processes of a machine share.
func moment(b *testing.B, resp *http.Response, field string) time.Time {
	b.Helper()
	ns, err := strconv.ParseInt(resp.Header.Get(field), 10, 64)
	if err != nil {
		b.Fatal(err)
	}
	return time.Unix(0, ns)
}

func build(b *testing.B, dir string) {
	b.Helper()
	cmd := exec.Command("go", "build", "-o", dir, module+"/cmd/quickstart", module+"/e2e/app")
	if out, err := cmd.CombinedOutput(); err != nil {
		b.Fatalf("go build: %v\n%s", err, out)
	}
}

// quickstart starts one with n services at zero and ends it with the benchmark.
func quickstart(b *testing.B, dir string, n int, listensAfter time.Duration) (addr string) {
	b.Helper()
	var manifest strings.Builder
	for i := range n {
		fmt.Fprintf(&manifest, `---
apiVersion: serving.knative.dev/v1
kind: Service
metadata: {name: bench-%d}
spec:
  template:
    spec:
      containers:
      - image: e2e.test/app
        command: [%q]
        env: [{name: APP_LISTEN_AFTER, value: %v}]
`, i, filepath.Join(dir, "app"), listensAfter)
	}
	file := filepath.Join(dir, "services.yaml")
	if err := os.WriteFile(file, []byte(manifest.String()), 0o600); err != nil {
		b.Fatal(err)
	}
	addr = freeAddr(b)
	_, port, _ := net.SplitHostPort(addr)
	// With the default windows no service is scaled to zero meanwhile, which would disturb the measurement.
	cmd := exec.Command(filepath.Join(dir, "quickstart"), "-port", port, "-f", file, "-state=")
	log, err := os.Create(filepath.Join(dir, "log"))
	if err != nil {
		b.Fatal(err)
	}
	defer func() { _ = log.Close() }()
	cmd.Stdout, cmd.Stderr = log, log
	if err := orphans.StartFor(b, cmd); err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { end(b, cmd, log.Name()) })
	for deadline := time.Now().Add(time.Minute); ; time.Sleep(5 * time.Millisecond) {
		c, err := net.Dial("tcp", addr)
		if err == nil {
			_ = c.Close()
			return addr
		}
		if time.Now().After(deadline) {
			b.Fatal(err)
		}
	}
}

func end(b *testing.B, cmd *exec.Cmd, log string) {
	b.Helper()
	_ = cmd.Process.Signal(syscall.SIGINT)
	if err := cmd.Wait(); err != nil {
		b.Error(err)
	}
	if b.Failed() {
		out, _ := os.ReadFile(log)
		b.Logf("output of the quickstart:\n%s", out)
	}
}

// freeAddr finds a port outside the range of ephemeral ports, so that no outgoing connection takes it meanwhile.
func freeAddr(b *testing.B) string {
	b.Helper()
	for port := 10000 + os.Getpid()%5000; port < 20000; port++ {
		l, err := net.Listen("tcp", "127.0.0.1:"+strconv.Itoa(port))
		if err == nil {
			_ = l.Close()
			return l.Addr().String()
		}
	}
	b.Fatal("no free port")
	return ""
}
