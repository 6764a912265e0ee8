package screen

import (
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"
)

func row(n int) Service {
	return Service{
		Name: "hello", URL: "http://hello.default", Latest: "hello-00001", State: Ready, Actual: n, Desired: n,
		Revisions: []Revision{{Name: "hello-00001", Percent: 100, State: Ready, Actual: n, Desired: n}},
	}
}

func split(second Revision) Service {
	return Service{
		Name: "split", URL: "http://split.default", Latest: "split-2", State: Ready, Actual: 3, Desired: 3,
		Revisions: []Revision{second, {Name: "split-1", Percent: 90, Actual: 2, Desired: 2, State: Ready, URLs: []string{"http://old-split.default", "http://v1-split.default"}}},
	}
}

func TestPlainLinesOnlyForChanges(t *testing.T) {
	var out strings.Builder
	s := New(Config{Out: &out})
	other := Service{
		Name: "other", URL: "http://other.default", Latest: "o", State: NotReady, Desired: 1,
		Revisions: []Revision{{Name: "o", Percent: 100, State: NotReady, Reason: "it\x1b[2J fails"}},
	}
	s.Show([]Service{row(0)})
	s.Show([]Service{row(0)})
	s.Line("app says\x07 \x1b[31mhi")
	s.Show([]Service{row(0), other})
	s.Show([]Service{row(1), other})
	s.Show([]Service{other})
	second := Revision{Name: "split-2", Percent: 10, State: Ready, Actual: 1, Desired: 1}
	s.Show([]Service{split(second)})
	second.Actual = 2 // the service's line has the number of replicas
	s.Show([]Service{split(second)})
	second.Percent, second.State, second.Reason = 20, NotReady, "it fails"
	s.Show([]Service{split(second)})
	s.Close(time.Minute)
	want := `service hello: ready, latest hello-00001, replicas 0/0, http://hello.default
app says\x07 \x1b[31mhi
service other: not ready, latest o, replicas 0/1, http://other.default (it\x1b[2J fails)
service hello: ready, latest hello-00001, replicas 1/1, http://hello.default
service hello: gone
service split: ready, latest split-2, replicas 3/3, http://split.default
revision split-2: ready, 10% of split
revision split-1: ready, 90% of split, http://old-split.default, http://v1-split.default
service other: gone
service split: ready, latest split-2, replicas 3/3, http://split.default (it fails)
revision split-2: not ready, 20% of split (it fails)
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
	s := New(Config{Out: &m, Size: func() (int, int) { return 66, 24 }})
	s.Line("first")
	s.Show([]Service{row(0)})
	s.Line("second")
	broken := Revision{Name: "split-2", Percent: 10, State: NotReady, Actual: 1, Desired: 1, Reason: "the app ended: exit status 7"}
	s.Show([]Service{row(3), split(broken)})
	s.Line("third")
	s.Close(time.Minute)
	want := []string{
		"first", "second", "third", "",
		"SERVICE        TRAFFIC  REPLICAS  STATE      URL",
		"hello                   3/3       ready      http://hello.default",
		"  hello-00001  100%     3/3       ready",
		"split                   3/3       ready      http://split.default",
		"  split-2      10%      1/1       not ready",
		"    the app ended: exit status 7",
		"  split-1      90%      2/2       ready      http://old-split.de…",
		"                                             http://v1-split.def…",
	}
	if !slices.Equal(m.lines, want) {
		t.Errorf("got\n%s\nwant\n%s", strings.Join(m.lines, "\n"), strings.Join(want, "\n"))
	}
	for _, line := range m.lines {
		if n := len([]rune(line)); n > 65 {
			t.Errorf("%d columns: %s", n, line)
		}
	}
}
