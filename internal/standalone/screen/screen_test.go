package screen

import (
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"
)

func row(n int) Row {
	return Row{Service: "hello", URL: "http://hello.default", Latest: "hello-00001", Ready: Ready, Actual: n, Desired: n}
}

func TestPlainLinesOnlyForChanges(t *testing.T) {
	var out strings.Builder
	s := New(Config{Out: &out})
	other := Row{Service: "other", URL: "http://other.default", Latest: "o", Ready: NotReady, Reason: "it\x1b[2J fails", Desired: 1}
	s.Show([]Row{row(0)})
	s.Show([]Row{row(0)})
	s.Line("app says\x07 \x1b[31mhi")
	s.Show([]Row{row(0), other})
	s.Show([]Row{row(1), other})
	s.Show([]Row{other})
	s.Close(time.Minute)
	want := `service hello: ready, latest hello-00001, replicas 0/0, http://hello.default
app says\x07 \x1b[31mhi
service other: not ready, latest o, replicas 0/1, http://other.default (it\x1b[2J fails)
service hello: ready, latest hello-00001, replicas 1/1, http://hello.default
service hello: gone
`
	if out.String() != want {
		t.Errorf("got\n%swant\n%s", out.String(), want)
	}
}

// terminal obeys the two sequences that a Screen writes.
type terminal struct{ lines []string }

var sequence = regexp.MustCompile(`^\x1b\[(\d*)([FJ])`)

func (m *terminal) Write(p []byte) (int, error) {
	for s := string(p); s != ""; {
		if g := sequence.FindStringSubmatch(s); g != nil {
			if g[2] == "F" {
				n, _ := strconv.Atoi(g[1])
				m.lines = m.lines[:len(m.lines)-n]
			}
			s = s[len(g[0]):]
			continue
		}
		line, rest, _ := strings.Cut(s, "\n")
		m.lines = append(m.lines, line)
		s = rest
	}
	return len(p), nil
}

func TestTerminalKeepsTheTableAtTheBottom(t *testing.T) {
	var m terminal
	s := New(Config{Out: &m, Size: func() (int, int) { return 59, 24 }})
	s.Line("first")
	s.Show([]Row{row(0)})
	s.Line("second")
	broken := row(4)
	broken.Reason = "the app ended: exit status 7"
	s.Show([]Row{row(3), broken})
	s.Line("third")
	s.Close(time.Minute)
	want := []string{
		"first", "second", "third", "",
		"SERVICE  REPLICAS  STATE  URL                   LATEST",
		"hello    3/3       ready  http://hello.default  hello-000…",
		"hello    4/4       ready  http://hello.default  hello-000…",
		"         the app ended: exit status 7",
	}
	if !slices.Equal(m.lines, want) {
		t.Errorf("got\n%s\nwant\n%s", strings.Join(m.lines, "\n"), strings.Join(want, "\n"))
	}
	for _, line := range m.lines {
		if n := len([]rune(line)); n > 58 {
			t.Errorf("%d columns: %s", n, line)
		}
	}
}
