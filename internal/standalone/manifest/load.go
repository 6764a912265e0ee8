package manifest

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"go.yaml.in/yaml/v3"
)

// MaxFileSize bounds a file; a larger one is an error.
const MaxFileSize = 1 << 20

// Files returns the files that paths stand for: each file itself, and the *.yaml and *.yml of each directory (not of
// those below it) in the order of their names. A directory may be empty.
func Files(paths []string) ([]string, error) {
	var files []string
	for _, p := range paths {
		info, err := os.Stat(p)
		if err != nil {
			return nil, err
		}
		if info.Mode().IsRegular() {
			files = append(files, p)
			continue
		}
		if !info.IsDir() { // a pipe gives what it holds only once, and may keep its reader waiting
			return nil, fmt.Errorf("%s: should be a file or a directory", p)
		}
		entries, err := os.ReadDir(p) // sorted
		if err != nil {
			return nil, err
		}
		for _, e := range entries {
			if isManifest(e) {
				files = append(files, filepath.Join(p, e.Name()))
			}
		}
	}
	return files, nil
}

func isManifest(e fs.DirEntry) bool {
	ext := filepath.Ext(e.Name())
	return !e.IsDir() && !strings.HasPrefix(e.Name(), ".") && (ext == ".yaml" || ext == ".yml")
}

// Load reads the files that paths stand for. Its error joins (errors.Join) one *Error for each thing that is wrong, or
// is that of the file system; the services are those of all files, or none.
func Load(paths []string) ([]Service, error) {
	files, err := Files(paths)
	if err != nil {
		return nil, err
	}
	var all []Service
	var errs []error
	for _, f := range files {
		data, err := Read(f)
		if err != nil {
			errs = append(errs, err)
			continue
		}
		services, err := Parse(f, data)
		all = append(all, services...)
		errs = append(errs, err)
	}
	if err := errors.Join(errs...); err != nil {
		return nil, err
	}
	return all, nil
}

// Read returns what the file name holds, unless it is larger than MaxFileSize or no regular file.
func Read(name string) ([]byte, error) {
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
	data, err := io.ReadAll(io.LimitReader(f, MaxFileSize+1))
	if err == nil && len(data) > MaxFileSize {
		err = fmt.Errorf("%s: larger than %d bytes", name, MaxFileSize)
	}
	return data, err
}

// Parse reads the documents of one file, whose name is used in errors only. Documents that hold nothing are skipped.
// Errors are as Load's.
func Parse(file string, data []byte) ([]Service, error) {
	var services []Service
	var errs []error
	for dec := yaml.NewDecoder(bytes.NewReader(data)); ; {
		var doc yaml.Node
		err := dec.Decode(&doc)
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			errs = append(errs, syntaxError(file, err))
			break
		}
		r := reader{file: file}
		if s, ok := r.document(&doc); ok {
			services = append(services, s)
		}
		errs = append(errs, r.errs...)
	}
	if err := errors.Join(errs...); err != nil {
		return nil, err
	}
	return services, nil
}

var yamlLine = regexp.MustCompile(`^yaml: (?:line (\d+): )?(.*)`)

// syntaxError gives the YAML parser's error the form of ours.
func syntaxError(file string, err error) error {
	line, why := 1, err.Error()
	if m := yamlLine.FindStringSubmatch(why); m != nil {
		if n, err := strconv.Atoi(m[1]); err == nil {
			line = n
		}
		why = m[2]
	}
	return &Error{Pos: Pos{file, line}, Why: "not YAML: " + strings.Join(slices.Collect(strings.Lines(why)), " ")}
}
