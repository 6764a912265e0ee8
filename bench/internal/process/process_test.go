package process

import (
	"context"
	"errors"
	"os"
	"strings"
	"testing"
	"time"
)

func TestParseStat(t *testing.T) {
	const rest = " S 1 4242 4242 0 -1 4194560 100 0 0 0 37 5 900 900 20 0 1 0 100 1000 10\n"
	for _, name := range []string{"(nginx)", "(a (b) c)", "() S 9 9)"} {
		group, cpu, err := parseStat([]byte("17 " + name + rest))
		if group != 4242 || cpu != 420*time.Millisecond || err != nil {
			t.Errorf("%s: group %d, CPU %v, %v", name, group, cpu, err)
		}
	}
	for _, text := range []string{"", "17 (x", "17 (x) S 1 2", "17 (x) S 1 x 1 0 -1 4194560 100 0 0 0 37 5 0", "17 (x) S 1 2 1 0 -1 1 1 0 0 0 a b"} {
		if _, _, err := parseStat([]byte(text)); err == nil {
			t.Errorf("%q: no error", text)
		}
	}
}

func TestParseResident(t *testing.T) {
	for text, want := range map[string]int64{
		"Name:\tx\nVmHWM:\t    9000 kB\nVmRSS:\t    5128 kB\nRssAnon:\t 1 kB\n": 5128 << 10,
		"Name:\tx\nState:\tZ (zombie)\n":                                        0,
		"Name:\tx\nVmRSS:\t many kB\n":                                          0,
		"Name:\tx\nVmRSS:":                                                      0,
	} {
		if got := parseResident([]byte(text)); got != want {
			t.Errorf("%q: %d, want %d", text, got, want)
		}
	}
}

// A child of the program is measured with it, and ends with it.
func TestGroup(t *testing.T) {
	onLinux(t)
	const busy = `i=0; while [ $i -lt 200000 ]; do i=$((i+1)); done`
	p, err := Start(Command{Name: "sh", Path: "/bin/sh", Args: []string{"-c", "(" + busy + "; echo done; sleep 1000) & wait"}, Dir: t.TempDir()})
	if err != nil {
		t.Fatal(err)
	}
	defer p.Stop()
	check := func(context.Context) error {
		if !strings.Contains(p.tail(), "done") {
			return errors.New("busy")
		}
		return nil
	}
	if err := p.Ready(t.Context(), time.Minute, check); err != nil {
		t.Fatal(err)
	}
	u, err := p.Usage()
	if err != nil {
		t.Fatal(err)
	}
	if u.CPU < 2*tick {
		t.Errorf("CPU %v does not include the child's", u.CPU)
	}
	if u.Resident < 100<<10 || u.Resident > 100<<20 {
		t.Errorf("%d bytes resident", u.Resident)
	}
	p.Stop()
	for deadline := time.Now().Add(time.Minute); ; time.Sleep(time.Millisecond) {
		if _, err := p.Usage(); err != nil {
			break
		}
		if time.Now().After(deadline) {
			t.Fatal("a process of the group still runs")
		}
	}
}

func TestReadyTellsWhy(t *testing.T) {
	never := func(context.Context) error { return errors.New("connection refused") }
	for script, want := range map[string]string{
		"echo no such option >&2; exit 3": "sh ended (exit status 3); it said: no such option",
		"exec sleep 1000":                 "sh isn't ready: connection refused",
	} {
		p, err := Start(Command{Name: "sh", Path: "/bin/sh", Args: []string{"-c", script}, Dir: t.TempDir()})
		if err != nil {
			t.Fatal(err)
		}
		limit := 100 * time.Millisecond
		if strings.Contains(script, "exit") {
			limit = time.Minute
		}
		if err := p.Ready(t.Context(), limit, never); err == nil || err.Error() != want {
			t.Errorf("%s: %v, want %s", script, err, want)
		}
		p.Stop()
	}
	if _, err := Start(Command{Name: "none", Path: "/no/such/program", Dir: t.TempDir()}); err == nil {
		t.Error("a program that doesn't exist has started")
	}
}

func TestUsageOfWhatHasEnded(t *testing.T) {
	onLinux(t)
	p, err := Start(Command{Name: "true", Path: "/bin/true", Dir: t.TempDir()})
	if err != nil {
		t.Fatal(err)
	}
	p.Stop()
	if _, err := p.Usage(); err == nil {
		t.Error("no error")
	}
}

func TestFreePort(t *testing.T) {
	if port, err := FreePort(); err != nil || port < 20000 || port >= 32000 {
		t.Errorf("%d, %v", port, err)
	}
}

func onLinux(t *testing.T) {
	if _, err := os.Stat("/proc/self/stat"); err != nil {
		t.Skip("there is no /proc")
	}
}
