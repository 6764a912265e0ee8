package e2e

import (
	"bytes"
	"math"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

// attempt is one handling of an event by an app.
type attempt struct {
	pid, key, number int
	epoch            int64
	begin, end       int64 // CLOCK_MONOTONIC; an end of 0: none was written
	cut              bool  // the client had gone when it ended
}

func (a *attempt) ok() bool { return a.end != 0 && !a.cut }

// journals are the files of all apps that ever had an event: see journal in e2e/app.
type journals struct {
	dir       string
	files     map[string]*journal
	delivered int            // different events that were handled to the end
	handled   map[int][]bool // by key and number: handled to the end
}

type journal struct {
	pid      int
	read     int64
	attempts []*attempt // the n-th has the index n-1
}

// first returns when the first event came.
func (j *journal) first() int64 {
	first := int64(math.MaxInt64)
	for _, a := range j.attempts {
		if a != nil {
			first = min(first, a.begin)
		}
	}
	return first
}

func newJournals(dir string) *journals {
	return &journals{dir: dir, files: map[string]*journal{}, handled: map[int][]bool{}}
}

// monotonic is the clock of the journals.
func monotonic() int64 {
	var now unix.Timespec
	if err := unix.ClockGettime(unix.CLOCK_MONOTONIC, &now); err != nil {
		panic(err) // every system has it
	}
	return now.Nano()
}

// readOn reads the lines that were written since the last time.
func (js *journals) readOn(t testing.TB) {
	t.Helper()
	names, err := filepath.Glob(filepath.Join(js.dir, "*.journal"))
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range names {
		j := js.files[name]
		if j == nil {
			pid, _, _ := strings.Cut(filepath.Base(name), "-")
			j = &journal{pid: atoi(pid)}
			js.files[name] = j
		}
		text, err := from(name, j.read)
		if err != nil {
			t.Fatal(err)
		}
		text = text[:bytes.LastIndexByte(text, '\n')+1]
		j.read += int64(len(text))
		for line := range strings.Lines(string(text)) {
			js.line(t, j, strings.Fields(line))
		}
	}
}

func from(name string, offset int64) ([]byte, error) {
	f, err := os.Open(name)
	if err != nil {
		return nil, err
	}
	defer func() { _ = f.Close() }()
	info, err := f.Stat()
	if err != nil || info.Size() == offset {
		return nil, err
	}
	text := make([]byte, info.Size()-offset)
	n, err := f.ReadAt(text, offset)
	return text[:n], err
}

func (js *journals) line(t testing.TB, j *journal, words []string) {
	t.Helper()
	switch {
	case len(words) == 6 && words[0] == "begin":
		for len(j.attempts) < atoi(words[1]) {
			j.attempts = append(j.attempts, nil)
		}
		j.attempts[atoi(words[1])-1] = &attempt{
			pid: j.pid, key: atoi(words[2]), number: atoi(words[3]), epoch: int64(atoi(words[4])), begin: int64(atoi(words[5])),
		}
	case len(words) == 3 && (words[0] == "end" || words[0] == "cut"):
		a := j.attempts[atoi(words[1])-1]
		a.end, a.cut = int64(atoi(words[2])), words[0] == "cut"
		if a.ok() {
			js.count(a)
		}
	default:
		t.Fatalf("a journal has the line %q", words)
	}
}

func (js *journals) count(a *attempt) {
	done := js.handled[a.key]
	for len(done) <= a.number {
		done = append(done, false)
	}
	js.handled[a.key] = done
	if !done[a.number] {
		done[a.number] = true
		js.delivered++
	}
}

// byKey returns the attempts of each key.
func (js *journals) byKey() map[int][]*attempt {
	all := map[int][]*attempt{}
	for _, j := range js.files {
		for _, a := range j.attempts {
			if a != nil {
				all[a.key] = append(all[a.key], a)
			}
		}
	}
	return all
}
