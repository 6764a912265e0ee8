package cluster_test

import (
	"fmt"
	"os"
	"slices"
	"strings"
	"sync"
	"testing"
)

// report collects the outcomes and writes them as a table.
type report struct {
	ways []way

	mu       sync.Mutex
	outcomes map[string]map[string]outcome // case → way
}

type outcome struct {
	figure string
	err    error
}

func newReport() *report { return &report{outcomes: map[string]map[string]outcome{}} }

func (r *report) add(name, way string, o outcome) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.outcomes[name] == nil {
		r.outcomes[name] = map[string]outcome{}
	}
	r.outcomes[name][way] = o
}

// write prints the table, and the errors of the cases that failed.
func (r *report) write(t *testing.T) {
	text := r.table() + "\n" + r.failures()
	fmt.Print("\n", text)
	if options.report == "" {
		return
	}
	if err := os.WriteFile(options.report, []byte(text), 0o644); err != nil {
		t.Error(err)
	}
}

func (r *report) table() string {
	var b strings.Builder
	b.WriteString("| case |")
	for _, w := range r.ways {
		fmt.Fprintf(&b, " %s |", w.title)
	}
	b.WriteString("\n|---|" + strings.Repeat("---|", len(r.ways)) + "\n")
	for _, c := range r.rows() {
		fmt.Fprintf(&b, "| %s |", c)
		for _, w := range r.ways {
			fmt.Fprintf(&b, " %s |", r.cell(c, w))
		}
		b.WriteString("\n")
	}
	return b.String()
}

// rows are the names of the cases with an outcome, in the order of the phases.
func (r *report) rows() []string {
	var names []string
	for _, p := range phases {
		for _, c := range p.cases {
			if _, ok := r.outcomes[c.name]; ok && !slices.Contains(names, c.name) {
				names = append(names, c.name)
			}
		}
	}
	return names
}

func (r *report) cell(name string, w way) string {
	o, ok := r.outcomes[name][w.name]
	switch {
	case !ok:
		return "not run"
	case o.err != nil:
		return strings.TrimRight("**fails** "+o.figure, " ")
	case o.figure != "":
		return o.figure
	}
	return "passes"
}

func (r *report) failures() string {
	var b strings.Builder
	for _, c := range r.rows() {
		for _, w := range r.ways {
			if o := r.outcomes[c][w.name]; o.err != nil {
				fmt.Fprintf(&b, "- %s, %s: %s\n", c, w.title, strings.ReplaceAll(o.err.Error(), "\n", "; "))
			}
		}
	}
	return b.String()
}
