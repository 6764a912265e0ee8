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

// Stdin is the path that stands for Input.Stdin, and StdinName what errors call it.
const (
	Stdin     = "-"
	StdinName = "stdin"
)

// Input is where manifests come from.
type Input struct {
	// Paths are files, directories, and Stdin. Of a directory the *.yaml, *.yml and *.json are read, in the order of their
	// names, and not those of the directories below it: kubectl -f does the same.
	Paths []string
	// Stdin is what that path stands for.
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
	// Named: the path was given itself, and not its directory. So it should hold a manifest.
	Named bool
}

// Read returns the files of in, each once, and what was left out of directories: a line for each. Of the file system it
// only takes regular files, so it doesn't block.
func (in Input) Read() (files []File, left []string, err error) {
	var seen []fs.FileInfo
	add := func(path string, info fs.FileInfo, named bool) error {
		if slices.ContainsFunc(seen, func(s fs.FileInfo) bool { return os.SameFile(s, info) }) {
			return nil
		}
		seen = append(seen, info)
		data, err := read(path)
		files = append(files, File{path, data, named})
		return err
	}
	for _, p := range in.Paths {
		if p == Stdin {
			files = append(files, File{StdinName, in.Stdin, true})
			continue
		}
		info, err := os.Stat(p)
		switch {
		case err != nil:
			return nil, nil, err
		case info.Mode().IsRegular():
			if err := add(p, info, true); err != nil {
				return nil, nil, err
			}
			continue
		case !info.IsDir(): // a pipe gives what it holds only once, and may keep its reader waiting
			return nil, nil, fmt.Errorf("%s: should be a file or a directory", p)
		}
		entries, err := os.ReadDir(p) // sorted
		if err != nil {
			return nil, nil, err
		}
		var below []string
		for _, e := range entries {
			path := filepath.Join(p, e.Name())
			info, err := os.Stat(path) // of what a link leads to
			switch {
			case strings.HasPrefix(e.Name(), "."):
			case err == nil && info.IsDir():
				below = append(below, e.Name())
			case !hasManifestName(e.Name()):
			case err != nil:
				return nil, nil, err
			default:
				if err := add(path, info, false); err != nil {
					return nil, nil, err
				}
			}
		}
		if len(below) > 0 {
			left = append(left, fmt.Sprintf("%s: directories below are not read: %s; name them with -f", p, strings.Join(below, ", ")))
		}
	}
	return files, left, nil
}

func hasManifestName(name string) bool {
	return slices.Contains([]string{".yaml", ".yml", ".json"}, filepath.Ext(name))
}

// read returns what the file name holds, unless it is larger than MaxFileSize or no regular file.
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

// ReadAll reads r, unless it gives more than MaxFileSize. The error begins with name.
func ReadAll(name string, r io.Reader) ([]byte, error) {
	data, err := io.ReadAll(io.LimitReader(r, MaxFileSize+1))
	if err == nil && len(data) > MaxFileSize {
		return nil, fmt.Errorf("%s: larger than %d bytes", name, MaxFileSize)
	}
	return data, err
}
