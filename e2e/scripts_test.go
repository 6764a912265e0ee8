package e2e

import (
	"slices"
	"strings"
	"testing"
)

// nodeClient runs a script that compares the responses, prints its cases, and exits with 0 only if all have passed.
func (s *realApps) nodeClient(t *testing.T) {
	want := []string{"a file", "20 at once", "one connection", "a body", "a stream", "by turns", "events", "trailers", "aborts"}
	s.routes(t, false, func(t *testing.T, d route) {
		out := program(t, "node", absolute("testdata/client.mjs"), d.url(""), d.can, s.files+"/files/large.bin")
		allDone(t, out, want)
	})
}

func (s *realApps) pythonClient(t *testing.T) {
	want := []string{"a_file", "kept", "kept_of_old", "closed", "a_body", "chunks", "refused"}
	s.routes(t, false, func(t *testing.T, d route) {
		out := program(t, "python3", absolute("testdata/client.py"), d.addr, d.host, d.can, s.files+"/files/large.bin")
		allDone(t, out, want)
	})
}

func allDone(t *testing.T, out string, want []string) {
	t.Helper()
	if got := strings.Split(strings.TrimSpace(out), "\n"); !slices.Equal(got, want) {
		t.Errorf("done: %q, want %q", got, want)
	}
}
