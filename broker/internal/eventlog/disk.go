package eventlog

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"

	"github.com/sluice-proxy/sluice/internal/durable"
)

// disk is the directory of a log, as far as the log uses it. Tests replace it by one that fails, or that loses what was not synced.
type disk interface {
	list() ([]string, error)
	open(name string) (file, error)
	create(name string) (file, error)
	rename(from, to string) error
	remove(name string) error
	// sync returns when the names of the files are on the disk.
	sync() error
}

type file interface {
	io.ReaderAt
	io.WriterAt
	io.Closer
	Truncate(size int64) error
	Stat() (fs.FileInfo, error)
	// sync returns when the content and the size are on the disk.
	sync() error
}

type directory string

func (d directory) list() ([]string, error) {
	entries, err := os.ReadDir(string(d))
	names := make([]string, 0, len(entries))
	for _, e := range entries {
		names = append(names, e.Name())
	}
	return names, err
}

func (d directory) open(name string) (file, error) {
	return openFile(filepath.Join(string(d), name), os.O_RDWR)
}

func (d directory) create(name string) (file, error) {
	return openFile(filepath.Join(string(d), name), os.O_RDWR|os.O_CREATE|os.O_TRUNC)
}

func (d directory) rename(from, to string) error {
	return os.Rename(filepath.Join(string(d), from), filepath.Join(string(d), to))
}

func (d directory) remove(name string) error { return os.Remove(filepath.Join(string(d), name)) }

func (d directory) sync() error { return durable.SyncDirectory(string(d)) }

type osFile struct{ *os.File }

func openFile(name string, flag int) (file, error) {
	f, err := os.OpenFile(name, flag, 0o600)
	if err != nil {
		return nil, err
	}
	return osFile{f}, nil
}

func (f osFile) sync() error { return datasync(f.File) }

// full adds ErrFull to an error that says that there is no space.
func full(err error) error {
	if errors.Is(err, syscall.ENOSPC) || errors.Is(err, syscall.EDQUOT) {
		return fmt.Errorf("%w: %w", ErrFull, err)
	}
	return err
}
