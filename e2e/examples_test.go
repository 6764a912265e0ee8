package e2e

import (
	"path/filepath"
	"strings"
	"testing"
)

// Every manifest of the examples is accepted and each of its services answers.
func TestExamples(t *testing.T) {
	t.Parallel()
	files, err := filepath.Glob("../examples/*.yaml")
	if err != nil || len(files) == 0 {
		t.Fatalf("%v, %v", files, err)
	}
	for _, file := range files {
		text := example(t, filepath.Base(file))
		if !strings.Contains(text, "kind: Service") {
			continue // for cmd/activator
		}
		t.Run(filepath.Base(file), func(t *testing.T) {
			t.Parallel()
			q := newQuickstart(t)
			q.manifest = file
			q.start(fast...)
			for _, name := range serviceNames(text) {
				mustGet(t, q.client(1), q.url(name, "/"))
			}
		})
	}
}

// serviceNames finds metadata.name of each document: the names at its indentation.
func serviceNames(text string) []string {
	var names []string
	for line := range strings.Lines(text) {
		if name, ok := strings.CutPrefix(line, "  name: "); ok {
			names = append(names, strings.TrimSpace(name))
		}
	}
	return names
}
