package main

import (
	"bytes"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"
)

const mb = 1_000_000

// aStart is the cost of one start of the program.
type aStart struct {
	listening           time.Duration // from its start until it accepts connections
	cpu                 time.Duration // from its start to its end, of all threads
	resident, anonymous int           // KiB after some time: all, and without the pages of the binary
}

// started runs the program until it accepts connections, and for settle more, then measures its memory.
func started(tb testing.TB, settle time.Duration) (s aStart) {
	tb.Helper()
	ports := freePorts(tb, 3)
	begin := time.Now()
	cmd, out := start(tb, environment("1", ports))
	for {
		c, err := net.Dial("tcp", "127.0.0.1:"+ports[0])
		if err == nil {
			s.listening = time.Since(begin)
			c.Close()
			break
		}
		if time.Since(begin) > 10*time.Second {
			tb.Fatalf("it does not listen: %v\n%s", err, out)
		}
	}
	if settle > 0 {
		time.Sleep(settle)
		s.resident, s.anonymous = memory(tb, cmd.Process.Pid)
	}
	if err := cmd.Process.Signal(syscall.SIGTERM); err != nil {
		tb.Fatal(err)
	}
	if err := cmd.Wait(); err != nil {
		tb.Errorf("%v\n%s", err, out)
	}
	s.cpu = cmd.ProcessState.UserTime() + cmd.ProcessState.SystemTime()
	return s
}

// memory reads /proc/<pid>/status.
func memory(tb testing.TB, pid int) (resident, anonymous int) {
	tb.Helper()
	if runtime.GOOS != "linux" {
		tb.Skip("what is resident is read from Linux's /proc")
	}
	status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		tb.Fatal(err)
	}
	read := func(name string) int {
		_, rest, _ := bytes.Cut(status, []byte(name+":"))
		n, err := strconv.Atoi(string(bytes.Fields(rest)[0]))
		if err != nil {
			tb.Fatal(err)
		}
		return n
	}
	return read("VmRSS"), read("RssAnon")
}

// The sidecar must not link text/template's execution, which keeps every method in the binary, nor OpenCensus, which compiles
// large regular expressions at its start: each costs a tenth of the resident memory.
func TestWhatIsNotLinked(t *testing.T) {
	build := exec.Command("go", "build", "-trimpath", "-ldflags=-s -w -dumpdep", "-o", filepath.Join(t.TempDir(), "queue-proxy"), ".")
	build.Env = append(os.Environ(), "CGO_ENABLED=0")
	deps, err := build.CombinedOutput() // the references between all linked symbols
	if err != nil {
		t.Fatalf("%v\n%s", err, deps)
	}
	if !strings.Contains(string(deps), "main.main -> ") {
		t.Fatal("the linker lists no references")
	}
	for line := range strings.Lines(string(deps)) {
		from, to, _ := strings.Cut(line, " -> ")
		if strings.Contains(to, "<ReflectMethod>") && !strings.HasPrefix(from, "type:reflect.Value") || strings.HasPrefix(to, "go.opencensus.io/") {
			t.Errorf("%s refers to %s", from, to)
			break
		}
	}
}

// A pod's start waits for its sidecar, and each pod has the sidecar's memory: its own, and the pages of the binary, which the
// pods of a node share. The kernel decides how many of those are mapped, in steps of some hundred KiB, so that the number
// differs between builds; the test bounds the binary's size instead. go tool nm -size -sort size shows what adds to it.
func TestStartIsSmall(t *testing.T) {
	info, err := os.Stat(binary)
	if err != nil {
		t.Fatal(err)
	}
	if info.Size() >= 13*mb {
		t.Errorf("the binary has %.1f MB", float64(info.Size())/mb)
	}
	least := started(t, time.Second)
	for range 9 {
		least.cpu = min(least.cpu, started(t, 0).cpu)
	}
	if least.cpu > 15*time.Millisecond { // CPU time: the time until it listens depends on other programs
		t.Errorf("it takes %v of CPU time to start and to end", least.cpu)
	}
	if least.anonymous >= 3*mb/1024 {
		t.Errorf("%d KiB of its own are resident", least.anonymous)
	}
	t.Logf("binary %.1f MB, %v of CPU time, %d KiB resident, %d KiB of it its own", float64(info.Size())/mb, least.cpu, least.resident, least.anonymous)
}

func BenchmarkStart(b *testing.B) {
	var total time.Duration
	n := 0
	for b.Loop() {
		total, n = total+started(b, 0).listening, n+1
	}
	s := started(b, time.Second)
	info, err := os.Stat(binary)
	if err != nil {
		b.Fatal(err)
	}
	b.ReportMetric(float64(total.Microseconds())/float64(n)/1000, "ms-to-listen")
	b.ReportMetric(float64(s.resident)*1024/mb, "MB-resident")
	b.ReportMetric(float64(s.anonymous)*1024/mb, "MB-anonymous")
	b.ReportMetric(float64(info.Size())/mb, "MB-binary")
}
