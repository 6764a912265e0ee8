package screen

import (
	"fmt"
	"io"
	"os"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"
)

// An output that isn't read, as after Ctrl-S or of a pipe, must not block callers.
func TestAStoppedReaderStopsNobody(t *testing.T) {
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	s := New(Config{Out: w})
	const n = 20_000
	began := time.Now()
	for i := range n {
		s.Line(fmt.Sprintf("line %d", i))
		s.Show([]Service{row(i)})
	}
	s.Close(50 * time.Millisecond) // the output isn't read
	if took := time.Since(began); took > 5*time.Second {
		t.Errorf("blocked for %v", took)
	}

	text := make(chan string)
	go func() {
		b, _ := io.ReadAll(r)
		text <- string(b)
	}()
	<-s.done // once the output is read
	w.Close()
	lines := strings.Split(strings.TrimSuffix(<-text, "\n"), "\n")
	dropped := 0
	for _, line := range lines {
		if g := regexp.MustCompile(`^sluice: (\d+) lines were dropped`).FindStringSubmatch(line); g != nil {
			more, _ := strconv.Atoi(g[1])
			dropped += more - 1 // this line is none of them
		}
	}
	if dropped == 0 || dropped+len(lines) != 2*n {
		t.Errorf("%d lines, %d dropped, of %d", len(lines), dropped, 2*n)
	}
	if last := lines[len(lines)-1]; !strings.Contains(last, fmt.Sprintf("replicas %d/%d", n-1, n-1)) {
		t.Errorf("the newest is lost; last is %q", last)
	}
}

// gate is a terminal that takes nothing until it is opened.
type gate struct {
	terminal
	entered, open chan struct{}
	writes        int
}

func (g *gate) Write(p []byte) (int, error) {
	if g.writes++; g.writes == 1 {
		close(g.entered)
		<-g.open
	}
	return g.terminal.Write(p)
}

func TestTablesForAStoppedTerminalAreDrawnOnce(t *testing.T) {
	g := gate{entered: make(chan struct{}), open: make(chan struct{})}
	s := New(Config{Out: &g, Size: func() (int, int) { return 80, 24 }})
	s.Show([]Service{row(0)})
	<-g.entered
	for i := range 1000 {
		s.Show([]Service{row(i)})
	}
	close(g.open)
	s.Close(time.Minute)
	if g.writes != 2 {
		t.Errorf("%d writes", g.writes)
	}
	if len(g.lines) != 4 || !strings.Contains(g.lines[2], "999/999") {
		t.Errorf("%q", g.lines)
	}
}

// What has scrolled out of a terminal can't be erased: a table that is too high would be left behind at each redrawing.
func TestATableIsNeverHigherThanTheTerminal(t *testing.T) {
	var m terminal
	s := New(Config{Out: &m, Size: func() (int, int) { return 80, 10 }})
	services := make([]Service, 50)
	for i := range services {
		services[i] = row(i)
	}
	s.Show(services)
	s.Close(time.Minute)
	if len(m.lines) != 9 { // and the cursor's
		t.Errorf("%d lines on a terminal of 10", len(m.lines))
	}
	if last := m.lines[len(m.lines)-1]; !strings.Contains(last, "and 44 lines more") {
		t.Errorf("%q", last)
	}
}

// Where there is little room, the lines of revisions that say nothing new are left out first.
func TestALowTerminalShowsServices(t *testing.T) {
	var m terminal
	s := New(Config{Out: &m, Size: func() (int, int) { return 80, 10 }})
	failing := row(4)
	failing.Revisions[0].Reason = "it fails"
	s.Show([]Service{row(0), row(1), row(2), row(3), failing})
	s.Close(time.Minute)
	last := slices.IndexFunc(m.lines, func(line string) bool { return strings.Contains(line, "4/4") })
	if len(m.lines) != 8 || last < 0 || !slices.Equal(m.lines[last+1:], []string{"    it fails"}) {
		t.Errorf("%q", m.lines)
	}
}

func TestAfterCloseNothingIsWritten(t *testing.T) {
	var out strings.Builder
	s := New(Config{Out: &out})
	s.Line("before")
	s.Close(time.Minute)
	s.Line("after")
	s.Close(time.Minute)
	if out.String() != "before\n" {
		t.Errorf("%q", out.String())
	}
}
