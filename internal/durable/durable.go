// Package durable has what those need who keep files: a directory for one process, and names that are on the disk.
//
//	lock, err := durable.Lock(dir, "lock") // until it is closed
//	err = os.Rename(temporary, name)       // of a file that has been synced
//	err = durable.SyncDirectory(dir)       // from here on it has the name, whatever happens to the machine
package durable

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
)

// Locked is the error of Lock for a file that another process has locked.
type Locked struct {
	PID string // of that process, as it has written it
}

// Error implements error.
func (l *Locked) Error() string { return "locked by process " + l.PID }

// Lock keeps a directory for this process until the file is closed, in which the process ID is then. It doesn't block.
func Lock(dir, name string) (*os.File, error) {
	f, err := os.OpenFile(filepath.Join(dir, name), os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, err
	}
	if err := syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB); err != nil {
		pid, _ := os.ReadFile(f.Name())
		f.Close()
		if errors.Is(err, syscall.EWOULDBLOCK) {
			return nil, &Locked{strings.TrimSpace(string(pid))}
		}
		return nil, fmt.Errorf("lock of %s: %w", dir, err)
	}
	// Only for the error that others get.
	_ = f.Truncate(0)
	_, _ = f.WriteAt([]byte(strconv.Itoa(os.Getpid())+"\n"), 0)
	return f, nil
}

// MkdirAll is os.MkdirAll with the mode 0700, but the directories are on the disk when it returns.
func MkdirAll(dir string) error {
	parent := filepath.Dir(dir)
	err := os.Mkdir(dir, 0o700)
	switch {
	case errors.Is(err, fs.ErrNotExist) && parent != dir:
		if err := MkdirAll(parent); err != nil {
			return err
		}
		return MkdirAll(dir)
	case err != nil && !errors.Is(err, fs.ErrExist):
		return err
	}
	if err := SyncDirectory(parent); !errors.Is(err, fs.ErrPermission) { // who may not read it has not made it
		return err
	}
	return nil
}

// SyncDirectory returns when the names of the files in a directory are on the disk, as they are now.
func SyncDirectory(path string) error {
	d, err := os.Open(path)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}
