package static

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/sluice-proxy/sluice/activator"
	"github.com/sluice-proxy/sluice/throttler"
	"go.uber.org/zap"
	"go.uber.org/zap/zaptest/observer"
)

// recorder is a sink that records its calls.
type recorder struct {
	mu    sync.Mutex
	lines []string
}

func (r *recorder) add(format string, args ...any) {
	r.mu.Lock()
	r.lines = append(r.lines, fmt.Sprintf(format, args...))
	r.mu.Unlock()
}

func (r *recorder) take() []string {
	r.mu.Lock()
	defer r.mu.Unlock()
	lines := r.lines
	r.lines = nil
	return lines
}

func (r *recorder) UpdateRevision(v activator.Revision)             { r.add("revision %s %d", v.ID, v.Limit) }
func (r *recorder) DeleteRevision(id throttler.RevisionID)          { r.add("delete %s", id) }
func (r *recorder) UpdatePeers(id throttler.RevisionID, p []string) { r.add("peers %s %v", id, p) }
func (r *recorder) UpdateEndpoints(id throttler.RevisionID, e activator.Endpoints) {
	r.add("endpoints %s %d %d", id, len(e.Ready), len(e.NotReady))
}

// await collects the calls of r until there are as many as in want, and compares them.
func (r *recorder) await(t *testing.T, want ...string) {
	t.Helper()
	var got []string
	for deadline := time.Now().Add(time.Minute); time.Now().Before(deadline); time.Sleep(time.Millisecond) {
		got = append(got, r.take()...)
		if len(got) >= len(want) {
			break
		}
	}
	if strings.Join(got, "\n") != strings.Join(want, "\n") {
		t.Fatalf("got:\n%s\nwant:\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
}

func replace(t *testing.T, path, text string) {
	t.Helper()
	if err := os.WriteFile(path+".new", []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Rename(path+".new", path); err != nil {
		t.Fatal(err)
	}
}

func TestFileReload(t *testing.T) {
	path := filepath.Join(t.TempDir(), "f.yaml")
	replace(t, path, "revisions:\n- {namespace: n, name: a, pods: [{address: 'h:1'}]}\n")
	core, logs := observer.New(zap.InfoLevel)
	f, err := Open(path, zap.New(core))
	if err != nil {
		t.Fatal(err)
	}
	f.Period = time.Millisecond
	select {
	case <-f.Synced():
		t.Error("synced before Run")
	default:
	}
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	r := &recorder{}
	go func() { ended <- f.Run(ctx, r) }()
	defer func() {
		cancel()
		if err := <-ended; err != nil {
			t.Error(err)
		}
	}()
	r.await(t, "revision n/a 0", "endpoints n/a 1 0")
	<-f.Synced()

	replace(t, path, "revisions:\n- {namespace: n, name: a, pods: [{address: 'h:1'}, {address: 'h:2', ready: false}]}\n")
	r.await(t, "endpoints n/a 1 1")
	replace(t, path, "revisions:\n- {namespace: n, name: a, containerConcurrency: 3, peers: [x], pods: [{address: 'h:1'}, {address: 'h:2', ready: false}]}\n")
	r.await(t, "revision n/a 3", "peers n/a [x]")

	// An error in the file is logged once and changes nothing, and so is a missing file.
	replace(t, path, "revisions:\n- {namespace: n, name: a}\n- {namespace: n, nam: b}\n")
	if err := os.Chtimes(path, time.Now(), time.Now()); err != nil {
		t.Fatal(err)
	}
	awaitLogs(t, logs, 1)
	if m := logs.FilterLevelExact(zap.ErrorLevel).All()[0].ContextMap()["error"]; m != path+":3: field nam not found" {
		t.Errorf("logged %q", m)
	}
	if err := os.Remove(path); err != nil {
		t.Fatal(err)
	}
	awaitLogs(t, logs, 2)

	replace(t, path, "revisions:\n- {namespace: n, name: b}\n")
	r.await(t, "revision n/b 0", "endpoints n/b 0 0", "delete n/a", "endpoints n/a 0 0", "peers n/a []")
}

func awaitLogs(t *testing.T, logs *observer.ObservedLogs, n int) {
	t.Helper()
	for deadline := time.Now().Add(time.Minute); time.Now().Before(deadline); time.Sleep(time.Millisecond) {
		if logs.FilterLevelExact(zap.ErrorLevel).Len() == n {
			return
		}
	}
	t.Fatalf("errors logged: %v; want %d", logs.All(), n)
}

func TestOpenFails(t *testing.T) {
	if _, err := Open(filepath.Join(t.TempDir(), "none"), nil); !os.IsNotExist(err) {
		t.Errorf("missing file: %v", err)
	}
	path := filepath.Join(t.TempDir(), "f")
	replace(t, path, "revisions: 1\n")
	if _, err := Open(path, nil); err == nil || !strings.HasPrefix(err.Error(), path+":1: ") {
		t.Errorf("wrong file: %v", err)
	}
}

func TestSource(t *testing.T) {
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	r := &recorder{}
	src := New(Revision{Revision: activator.Revision{ID: throttler.RevisionID{Namespace: "n", Name: "r"}, Limit: 2}})
	if err := src.Run(ctx, r); err != nil {
		t.Error(err)
	}
	r.await(t, "revision n/r 2", "endpoints n/r 0 0")
}

// Open rejects pipes and devices: they may block, and would seem to be empty when they are read again.
func TestOpenTakesAFileOnly(t *testing.T) {
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	if _, err := w.WriteString("revisions: []\n"); err != nil {
		t.Fatal(err)
	}
	w.Close()
	for _, path := range []string{fmt.Sprintf("/dev/fd/%d", r.Fd()), os.DevNull, t.TempDir()} {
		if _, err := Open(path, nil); err == nil || !strings.Contains(err.Error(), "not a regular file") {
			t.Errorf("%s: %v", path, err)
		}
	}
}
