package eventlog

import (
	"errors"
	"io"
	"io/fs"
	"maps"
	"math/rand/v2"
	"slices"
	"sync"
	"time"
)

// memDisk is a disk in memory that knows what would be left after a power failure: of each file, the sectors that were synced, and
// any of the others; of the directory, a beginning of the changes that were not synced.
type memDisk struct {
	mu      sync.Mutex
	names   map[string]*memFile
	durable map[string]*memFile
	changes []func(map[string]*memFile) // of names, since durable

	// before is called before an operation. Its error is the operation's.
	before func(op, name string) error
}

func newMemDisk() *memDisk {
	return &memDisk{names: map[string]*memFile{}, durable: map[string]*memFile{}}
}

func (d *memDisk) do(op, name string) error {
	d.mu.Lock()
	before := d.before
	d.mu.Unlock()
	if before == nil {
		return nil
	}
	return before(op, name)
}

func (d *memDisk) fail(before func(op, name string) error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.before = before
}

func (d *memDisk) list() ([]string, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	return slices.Collect(maps.Keys(d.names)), nil
}

func (d *memDisk) open(name string) (file, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	f, ok := d.names[name]
	if !ok {
		return nil, fs.ErrNotExist
	}
	return &memHandle{disk: d, memFile: f}, nil
}

func (d *memDisk) change(c func(map[string]*memFile)) {
	c(d.names)
	d.changes = append(d.changes, c)
}

func (d *memDisk) create(name string) (file, error) {
	if err := d.do("create", name); err != nil {
		return nil, err
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	f := &memFile{name: name, dirty: map[int64]bool{}}
	d.change(func(names map[string]*memFile) { names[name] = f })
	return &memHandle{disk: d, memFile: f}, nil
}

func (d *memDisk) rename(from, to string) error {
	if err := d.do("rename", from); err != nil {
		return err
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	d.names[from].name = to
	d.change(func(names map[string]*memFile) {
		names[to] = names[from]
		delete(names, from)
	})
	return nil
}

func (d *memDisk) remove(name string) error {
	if err := d.do("remove", name); err != nil {
		return err
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	d.change(func(names map[string]*memFile) { delete(names, name) })
	return nil
}

func (d *memDisk) sync() error {
	if err := d.do("syncdir", ""); err != nil {
		return err
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	d.durable, d.changes = maps.Clone(d.names), nil
	return nil
}

// after returns the disk as a process finds it that starts now: after this one was killed, or after a power failure.
func (d *memDisk) after(powerFailure bool, random *rand.Rand) *memDisk {
	d.mu.Lock()
	defer d.mu.Unlock()
	names := d.names
	if powerFailure {
		names = maps.Clone(d.durable)
		for _, c := range d.changes[:random.IntN(len(d.changes)+1)] {
			c(names)
		}
	}
	after := newMemDisk()
	for name, f := range names {
		after.names[name] = f.after(powerFailure, random)
	}
	after.durable = maps.Clone(after.names)
	return after
}

type memFile struct {
	name    string         // by which before gets to know it
	data    []byte         // as readers see it
	durable []byte         // as it is on the disk
	dirty   map[int64]bool // the sectors that a sync writes
	resized bool
}

func (f *memFile) after(powerFailure bool, random *rand.Rand) *memFile {
	if !powerFailure {
		return &memFile{name: f.name, data: slices.Clone(f.data), durable: slices.Clone(f.durable), dirty: maps.Clone(f.dirty), resized: f.resized}
	}
	data := slices.Clone(f.durable)
	if f.resized && random.IntN(2) == 0 {
		data = resize(data, int64(len(f.data)))
	}
	for i := range f.dirty {
		if random.IntN(2) == 0 {
			data = f.flush(data, i)
		}
	}
	return &memFile{name: f.name, data: data, durable: slices.Clone(data), dirty: map[int64]bool{}}
}

// flush copies a sector to the disk.
func (f *memFile) flush(durable []byte, i int64) []byte {
	from, to := min(i*sector, int64(len(f.data))), min((i+1)*sector, int64(len(f.data)))
	if int64(len(durable)) < to {
		durable = resize(durable, to)
	}
	copy(durable[from:to], f.data[from:to])
	return durable
}

func resize(b []byte, size int64) []byte {
	if size <= int64(len(b)) {
		return b[:size:size]
	}
	return append(slices.Clip(b), make([]byte, size-int64(len(b)))...)
}

type memHandle struct {
	disk *memDisk
	*memFile
	closed bool
}

func (h *memHandle) ReadAt(b []byte, at int64) (int, error) {
	h.disk.mu.Lock()
	defer h.disk.mu.Unlock()
	if h.closed {
		return 0, fs.ErrClosed
	}
	if at >= int64(len(h.data)) {
		return 0, io.EOF
	}
	n := copy(b, h.data[at:])
	if n < len(b) {
		return n, io.EOF
	}
	return n, nil
}

// errPartial is what before returns for a write that writes only a part.
var errPartial = errors.New("input/output error after a part")

func (h *memHandle) WriteAt(b []byte, at int64) (int, error) {
	err := h.disk.do("write", h.name)
	if errors.Is(err, errPartial) {
		b = b[:len(b)/2]
	} else if err != nil {
		return 0, err
	}
	h.disk.mu.Lock()
	defer h.disk.mu.Unlock()
	if end := at + int64(len(b)); end > int64(len(h.data)) {
		h.data, h.resized = resize(h.data, end), true
	}
	copy(h.data[at:], b)
	for i := at / sector; i*sector < at+int64(len(b)); i++ {
		h.dirty[i] = true
	}
	return len(b), err
}

func (h *memHandle) Truncate(size int64) error {
	if err := h.disk.do("truncate", h.name); err != nil {
		return err
	}
	h.disk.mu.Lock()
	defer h.disk.mu.Unlock()
	h.data, h.resized = resize(h.data, size), true
	return nil
}

func (h *memHandle) Close() error {
	h.disk.mu.Lock()
	defer h.disk.mu.Unlock()
	h.closed = true
	return nil
}

// sync forgets what it has not written when it fails, as Linux does: the next sync doesn't fail, and writes nothing.
func (h *memHandle) sync() error {
	err := h.disk.do("sync", h.name)
	h.disk.mu.Lock()
	defer h.disk.mu.Unlock()
	if err == nil {
		h.durable = resize(slices.Clone(h.durable), int64(len(h.data)))
		for i := range h.dirty {
			h.durable = h.flush(h.durable, i)
		}
		h.resized = false
	}
	clear(h.dirty)
	return err
}

func (h *memHandle) Stat() (fs.FileInfo, error) {
	h.disk.mu.Lock()
	defer h.disk.mu.Unlock()
	return memInfo{int64(len(h.data))}, nil
}

type memInfo struct{ size int64 }

func (memInfo) Name() string       { return "" }
func (i memInfo) Size() int64      { return i.size }
func (memInfo) Mode() fs.FileMode  { return 0o600 }
func (memInfo) ModTime() time.Time { return time.Now() }
func (memInfo) IsDir() bool        { return false }
func (memInfo) Sys() any           { return nil }
