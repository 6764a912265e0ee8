package e2e

import (
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
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
			continue // see TestExampleOfTheActivator
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

// serviceNames finds metadata.name of each document by its indentation.
func serviceNames(text string) []string {
	var names []string
	for line := range strings.Lines(text) {
		if name, ok := strings.CutPrefix(line, "  name: "); ok {
			names = append(names, strings.TrimSpace(name))
		}
	}
	return names
}

// The activator accepts its example, and holds a request, since the pods in it don't exist.
func TestExampleOfTheActivator(t *testing.T) {
	t.Parallel()
	c := newCluster(t, "")
	if err := os.WriteFile(c.file, []byte(example(t, "activator.yaml")), 0o600); err != nil {
		t.Fatal(err)
	}
	client := clientOf(t, c.addr, 1)
	client.Timeout = 200 * time.Millisecond
	status := func(revision string) int {
		return get(client, "http://"+revision+".default.svc.cluster.local/").status
	}
	eventually(t, "the file is read", func() bool { return status("rev") == http.StatusNotFound })
	if got := status("hello-00001"); got != 0 {
		t.Errorf("answered %d without a pod", got)
	}
	if got := status("hello-00009"); got != http.StatusNotFound {
		t.Errorf("an unknown revision is answered %d", got)
	}
}
