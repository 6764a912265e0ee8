package manifest

import (
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// MaxFileSize bounds a file; a larger one is an error.
const MaxFileSize = 1 << 20

// Stdin is the path of Input.Stdin, and StdinName its name in errors.
const (
	Stdin     = "-"
	StdinName = "stdin"
)

// Input has the sources of manifests.
type Input struct {
	// Paths are files, directories, and Stdin. In a directory the *.yaml, *.yml and *.json are read, sorted by name, but not
	// those of subdirectories, as with kubectl -f.
	Paths []string
	// Stdin has the contents of standard input.
	Stdin []byte
}

// String names the paths.
func (in Input) String() string {
	names := slices.Clone(in.Paths)
	for i, n := range names {
		if n == Stdin {
			names[i] = StdinName
		}
	}
	return strings.Join(names, ", ")
}

// File is one of an Input.
type File struct {
	Name string
	Data []byte
	// Named: the path was given itself, not its directory. So it should have a manifest.
	Named bool
}

// Read returns the files of in, each once, and a line for each skipped entry of a directory. It reads only regular files,
// so it doesn't block.
func (in Input) Read() (files []File, left []string, err error) {
	var c collector
	for _, p := range in.Paths {
		if p == Stdin {
			c.files = append(c.files, File{StdinName, in.Stdin, true})
			continue
		}
		info, err := os.Stat(p)
		switch {
		case err != nil:
		case info.Mode().IsRegular():
			err = c.add(p, info, true)
		case info.IsDir():
			err = c.directory(p)
		default: // a pipe can be read only once, and may block
			err = fmt.Errorf("%s: should be a file or a directory", p)
		}
		if err != nil {
			return nil, nil, err
		}
	}
	return c.files, c.left, nil
}

// collector reads files, each once.
type collector struct {
	files []File
	left  []string
	seen  []fs.FileInfo
}

func (c *collector) add(path string, info fs.FileInfo, named bool) error {
	if slices.ContainsFunc(c.seen, func(s fs.FileInfo) bool { return os.SameFile(s, info) }) {
		return nil
	}
	c.seen = append(c.seen, info)
	data, err := read(path)
	c.files = append(c.files, File{path, data, named})
	return err
}

func (c *collector) directory(dir string) error {
	entries, err := os.ReadDir(dir) // sorted
	if err != nil {
		return err
	}
	var below []string
	for _, e := range entries {
		path := filepath.Join(dir, e.Name())
		info, err := os.Stat(path) // of the target of a link
		switch {
		case strings.HasPrefix(e.Name(), "."):
			err = nil
		case err == nil && info.IsDir():
			below = append(below, e.Name())
		case !hasManifestName(e.Name()):
			err = nil
		case err == nil:
			err = c.add(path, info, false)
		}
		if err != nil {
			return err
		}
	}
	if len(below) > 0 {
		c.left = append(c.left, fmt.Sprintf("%s: directories below are not read: %s; name them with -f", dir, strings.Join(below, ", ")))
	}
	return nil
}

func hasManifestName(name string) bool {
	return slices.Contains([]string{".yaml", ".yml", ".json"}, filepath.Ext(name))
}

// read returns the contents of a file, unless it is larger than MaxFileSize or not a regular file.
func read(name string) ([]byte, error) {
	if info, err := os.Stat(name); err != nil {
		return nil, err
	} else if !info.Mode().IsRegular() {
		return nil, fmt.Errorf("%s: should be a file", name)
	}
	f, err := os.Open(name)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	return ReadAll(name, f)
}

// ReadAll reads r, up to MaxFileSize; more is an error. The error begins with name.
func ReadAll(name string, r io.Reader) ([]byte, error) {
	data, err := io.ReadAll(io.LimitReader(r, MaxFileSize+1))
	if err == nil && len(data) > MaxFileSize {
		return nil, fmt.Errorf("%s: larger than %d bytes", name, MaxFileSize)
	}
	return data, err
}
