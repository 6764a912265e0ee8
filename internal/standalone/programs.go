package standalone

import (
	"context"
	"encoding/binary"
	"errors"
	"hash/maphash"
	"io/fs"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/sluice-proxy/sluice/internal/standalone/replica"
	"github.com/sluice-proxy/sluice/throttler"
)

// programs notices when the files that revisions run have changed.
//
// A changed file counts when two polls in a row find it the same: a linker may write for a second. While a program is missing
// or can't be executed, nothing has changed.
type programs struct {
	changed func(path string) // called by run

	mu     sync.Mutex
	owners map[throttler.RevisionID][]string // the paths of each revision
	seen   map[string]*sight
}

// sight is what is known about a path.
type sight struct {
	applied uint64 // the state that replicas run, or will
	latest  uint64 // that of the latest poll
}

// most is how many files of a directory are watched, and share the part of the time that polling may take at most.
const (
	most  = 10_000
	share = 20
)

func newPrograms(changed func(path string)) *programs {
	return &programs{changed: changed, owners: map[throttler.RevisionID][]string{}, seen: map[string]*sight{}}
}

// watch adds the paths that a revision runs. It returns those of which only a part is watched. Call it before the programs are
// started, so that no change is missed.
func (p *programs) watch(id throttler.RevisionID, paths []string) (partly []string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.owners[id] = paths
	for _, path := range paths {
		if p.seen[path] == nil {
			state, all := look(path)
			if p.seen[path] = (&sight{state, state}); !all {
				partly = append(partly, path)
			}
		}
	}
	return partly
}

// forget ends the watch for a revision.
func (p *programs) forget(id throttler.RevisionID) {
	p.mu.Lock()
	defer p.mu.Unlock()
	delete(p.owners, id)
	maps.DeleteFunc(p.seen, func(path string, _ *sight) bool {
		for _, paths := range p.owners {
			if slices.Contains(paths, path) {
				return false
			}
		}
		return true
	})
}

// run polls until ctx ends.
func (p *programs) run(ctx context.Context) {
	pause := watchPeriod
	for {
		select {
		case <-ctx.Done():
			return
		case <-time.After(pause):
		}
		began := time.Now()
		p.mu.Lock()
		paths := slices.Collect(maps.Keys(p.seen))
		p.mu.Unlock()
		for _, path := range paths {
			if state, _ := look(path); p.settled(path, state) {
				p.changed(path)
			}
		}
		pause = max(watchPeriod, share*time.Since(began))
	}
}

// settled records the result of a poll, and reports whether it is a change.
func (p *programs) settled(path string, state uint64) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	s := p.seen[path]
	if s == nil {
		return false
	}
	same := state == s.latest
	s.latest = state
	if !same || state == missing || state == s.applied {
		return false
	}
	s.applied = state
	return true
}

// missing is the state of a path that nothing can be run from.
const missing = 0

// seed of the states.
var seed = maphash.MakeSeed()

// look returns the state of a program, or of the files below a directory. all is false if there are too many.
func look(path string) (state uint64, all bool) {
	info, err := os.Stat(path)
	if err != nil {
		return missing, true
	}
	var h maphash.Hash
	h.SetSeed(seed)
	if !info.IsDir() {
		if info.Size() == 0 {
			return missing, true
		}
		mark(&h, path, info)
		return h.Sum64(), true
	}
	root, err := filepath.EvalSymlinks(path) // WalkDir doesn't follow a link
	if err != nil {
		return missing, true
	}
	n := 0
	err = filepath.WalkDir(root, func(path string, entry fs.DirEntry, err error) error {
		switch {
		case err != nil: // it has just gone, or can't be read
			return nil
		case path != root && skipped(entry.Name()) && entry.IsDir():
			return fs.SkipDir
		case entry.IsDir() || skipped(entry.Name()):
			return nil
		}
		if n++; n > most {
			return fs.SkipAll
		}
		if info, err := entry.Info(); err == nil {
			mark(&h, path, info)
		}
		return nil
	})
	if err != nil {
		return missing, true
	}
	return h.Sum64(), n <= most
}

// skipped reports whether a name stands for what tools and editors write, not for what is run: hidden files, node_modules, and
// what Python writes when it starts.
func skipped(name string) bool {
	return strings.HasPrefix(name, ".") || strings.HasSuffix(name, "~") || name == "node_modules" || name == "__pycache__"
}

// mark adds a file's name and state to h.
func mark(h *maphash.Hash, path string, info fs.FileInfo) {
	h.WriteString(path)
	numbers := [4]uint64{uint64(info.Size()), uint64(info.ModTime().UnixNano()), uint64(info.Mode())}
	if s, ok := info.Sys().(*syscall.Stat_t); ok {
		numbers[3] = s.Ino
	}
	for _, n := range numbers {
		h.Write(binary.LittleEndian.AppendUint64(nil, n))
	}
}

// filesOf returns the paths of what a replica runs: its programs, except this binary itself, and the directory watched.
func filesOf(spec replica.Spec, self, watched string) []string {
	commands := []replica.Command{spec.App}
	for _, c := range slices.Concat(spec.Init, spec.Sidecars) {
		commands = append(commands, c.Command)
	}
	var paths []string
	for _, c := range commands {
		if path := programOf(c); c.Path != self && !isContainer(c) && path != "" && !slices.Contains(paths, path) {
			paths = append(paths, path)
		}
	}
	if watched != "" {
		paths = append(paths, within(spec.App.Dir, watched))
	}
	return paths
}

// programOf returns the absolute path of c's program; "" if PATH has none of that name.
func programOf(c replica.Command) string {
	if strings.ContainsRune(c.Path, filepath.Separator) {
		return within(c.Dir, c.Path)
	}
	path, err := exec.LookPath(c.Path)
	if err != nil && !errors.Is(err, exec.ErrDot) {
		return ""
	}
	return within("", path)
}

// within returns the absolute path of path as seen from dir.
func within(dir, path string) string {
	if !filepath.IsAbs(path) {
		path = filepath.Join(dir, path)
	}
	if abs, err := filepath.Abs(path); err == nil {
		return abs
	}
	return path
}
