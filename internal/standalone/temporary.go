package standalone

import (
	"errors"
	"os"
	"path/filepath"
	"syscall"
	"time"

	"github.com/sluice-proxy/sluice/internal/durable"
)

const (
	temporaryEvents = "sluice-events-"
	temporaryLock   = "lock"
	// youngest is how old a directory has to be to be taken for one whose quickstart was killed: a new one isn't locked at once.
	youngest = time.Minute
)

// temporary is a directory of events that goes with its quickstart.
type temporary struct {
	dir  string
	lock *os.File
}

// newTemporary makes one in a directory, and removes those there that this user's quickstarts have left behind when they were killed.
func newTemporary(in string) (t *temporary, err error) {
	removeLeft(in)
	t = &temporary{}
	if t.dir, err = os.MkdirTemp(in, temporaryEvents); err != nil {
		return nil, err
	}
	if t.lock, err = durable.Lock(t.dir, temporaryLock); err != nil {
		return nil, errors.Join(err, os.RemoveAll(t.dir))
	}
	return t, nil
}

// remove removes it; nil: there is none.
func (t *temporary) remove() error {
	if t == nil {
		return nil
	}
	return errors.Join(os.RemoveAll(t.dir), t.lock.Close())
}

// removeLeft removes what nobody has locked. Who else may write into the directory can't have it remove anything else: it looks only into
// directories of this user. What it can't remove it leaves.
func removeLeft(in string) {
	all, _ := filepath.Glob(filepath.Join(in, temporaryEvents+"*"))
	for _, dir := range all {
		info, err := os.Lstat(dir) // not of what a link leads to
		if err != nil || !info.IsDir() || time.Since(info.ModTime()) < youngest {
			continue
		}
		if of, ok := info.Sys().(*syscall.Stat_t); !ok || int(of.Uid) != os.Getuid() {
			continue
		}
		if lock, err := durable.Lock(dir, temporaryLock); err == nil {
			_ = os.RemoveAll(dir)
			_ = lock.Close()
		}
	}
}
