package replica

import (
	"bytes"
	"encoding/json"
	"errors"
	"slices"
	"strings"
	"syscall"
	"testing"

	"pgregory.net/rapid"
)

// Whatever the sizes of the writes, the lines are those of the whole, cut at maxLine.
func TestLines(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var text []byte
		for range rapid.IntRange(0, 6).Draw(t, "lines") {
			n := rapid.SampledFrom([]int{0, 1, 10, maxLine - 1, maxLine, maxLine + 1, 3 * maxLine}).Draw(t, "n")
			text = append(text, bytes.Repeat([]byte{'x'}, n)...)
			text = append(text, '\n')
		}
		var out bytes.Buffer
		l := &lines{process: App, to: newReporter(&out)}
		for rest := text; len(rest) > 0; {
			n := min(len(rest), rapid.IntRange(1, 2*maxLine).Draw(t, "write"))
			if m, err := l.Write(rest[:n]); m != n || err != nil {
				t.Fatal(m, err)
			}
			rest = rest[n:]
		}
		l.flush()
		var got string
		for dec := json.NewDecoder(&out); dec.More(); {
			var e Event
			if err := dec.Decode(&e); err != nil || len(e.Text) > maxLine {
				t.Fatal(err, len(e.Text))
			}
			got += e.Text
		}
		if want := strings.ReplaceAll(string(text), "\n", ""); got != want {
			t.Fatalf("%d bytes of %d", len(got), len(want))
		}
	})
}

func TestPortsAreNeverGivenOutTwice(t *testing.T) {
	r := PortRange{21000, 21999}
	a, b := NewPorts("127.0.11.4", r), NewPorts("127.0.11.4", r)
	defer a.Close()
	defer b.Close()
	var all []int
	for _, p := range []*Ports{a, b, a, b} {
		got, err := p.Take(40)
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, got...)
	}
	slices.Sort(all)
	if n := len(all); len(slices.Compact(all)) != n {
		t.Error("a port was given out twice")
	}
}

// Quickstarts with different ranges don't claim parts of each other's blocks.
func TestClaimsOfDifferentRangesExclude(t *testing.T) {
	a, b := NewPorts("127.0.11.1", PortRange{22000, 22200}), NewPorts("127.0.11.1", PortRange{22011, 22189})
	defer a.Close()
	defer b.Close()
	got, err := a.Take(5 * (blockSize - 1)) // 22016-22175
	if err != nil {
		t.Fatal(err)
	}
	a.Release(got)
	if got, err := b.Take(1); err == nil {
		t.Errorf("%v is of a claimed block", got)
	}
}

// The address is this test's own: each port of the range has to be free.
func TestPortsRunOutAndComeBack(t *testing.T) {
	p := NewPorts("127.0.11.2", PortRange{22016, 22079})
	defer p.Close()
	got, err := p.Take(50)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := p.Take(13); err == nil || !strings.Contains(err.Error(), "-replica-ports") {
		t.Errorf("more than there are: %v", err)
	}
	p.Release(got)
	if _, err := p.Take(62); err != nil {
		t.Errorf("given back: %v", err)
	}
}

// A process that may open no more files lacks no port, and -replica-ports would not help.
func TestPortsSayThatFilesRunOut(t *testing.T) {
	p := NewPorts("127.0.11.3", PortRange{22112, 22207})
	defer p.Close()
	if _, err := p.Take(1); err != nil {
		t.Fatal(err)
	}
	var limit syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_NOFILE, &limit); err != nil {
		t.Fatal(err)
	}
	low := limit
	low.Cur = 3 // standard input, output and error
	if err := syscall.Setrlimit(syscall.RLIMIT_NOFILE, &low); err != nil {
		t.Fatal(err)
	}
	_, err1 := p.Take(1)  // of the claimed block
	_, err2 := p.Take(32) // of another one
	if err := syscall.Setrlimit(syscall.RLIMIT_NOFILE, &limit); err != nil {
		t.Fatal(err)
	}
	for _, err := range []error{err1, err2} {
		if !errors.Is(err, syscall.EMFILE) || !strings.Contains(err.Error(), "ulimit -n") {
			t.Error(err)
		}
	}
	if _, err := p.Take(62); err != nil {
		t.Errorf("ports were lost: %v", err)
	}
}

func TestPortRange(t *testing.T) {
	for s, ok := range map[string]bool{"20000-29999": true, "": false, "1": false, "5-1": false, "0-100": false, "1-70000": false, "a-b": false, "1-2": false} {
		var r PortRange
		if err := r.Set(s); (err == nil) != ok || ok && r.String() != s {
			t.Errorf("%q: %v, %v", s, r, err)
		}
	}
}
