// Package state keeps the objects of the quickstart's API in a directory, which one quickstart at a time may use.
package state

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"

	"github.com/sluice-proxy/sluice/internal/durable"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
)

// Names of the files in a directory, and what the state's file says that it is.
const (
	stateFile = "state.json"
	lockFile  = "lock"

	apiVersion = "quickstart.sluice.dev/v1"
	kind       = "State"
)

// State is what lasts.
type State struct {
	// Version is a resourceVersion that no object exceeds.
	Version uint64
	Objects []Object
}

// Object is an object of the API.
type Object struct {
	*unstructured.Unstructured
	// FromFile: a file named it. It is what lasts of its metadata; what it says is the file's.
	FromFile bool
}

// Dir is a locked directory.
type Dir struct {
	path  string
	lock  *os.File
	saved []Object          // of the latest Save
	lines map[Object][]byte // their JSON
}

// Default returns the directory of a user: $XDG_STATE_HOME/sluice, or ~/.local/state/sluice.
// https://specifications.freedesktop.org/basedir-spec/latest/
func Default() (string, error) {
	if base := os.Getenv("XDG_STATE_HOME"); filepath.IsAbs(base) {
		return filepath.Join(base, "sluice"), nil
	}
	home, err := os.UserHomeDir()
	if err != nil {
		return "", fmt.Errorf("no directory for the state: %w: name one with -state DIR", err)
	}
	return filepath.Join(home, ".local", "state", "sluice"), nil
}

// Open makes the directory if there is none, with mode 0700, and locks it until Close. It refuses one that all users may write
// to: what is in the state is run.
func Open(path string) (*Dir, error) {
	if err := os.MkdirAll(path, 0o700); err != nil {
		return nil, err
	}
	info, err := os.Stat(path)
	if err != nil {
		return nil, err
	}
	if info.Mode().Perm()&0o002 != 0 {
		return nil, fmt.Errorf("all users may write to the directory of the state (%v) and so make the quickstart run programs: chmod o-w %s, "+
			"or name another directory with -state DIR", info.Mode(), path)
	}
	lock, err := durable.Lock(path, lockFile)
	if locked, ok := errors.AsType[*durable.Locked](err); ok {
		return nil, fmt.Errorf("another quickstart (process %s) keeps its state in %s: end it, name another directory with "+
			"-state DIR, or keep no state with -state=", locked.PID, path)
	}
	if err != nil {
		return nil, err
	}
	return &Dir{path: path, lock: lock}, nil
}

// Path returns the directory's.
func (d *Dir) Path() string { return d.path }

// file is the contents of the state's file.
type file struct {
	APIVersion string       `json:"apiVersion"`
	Kind       string       `json:"kind"`
	Version    uint64       `json:"version"`
	Objects    []fileObject `json:"objects"`
}

type fileObject struct {
	FromFile bool            `json:"fromFile,omitempty"`
	Object   json.RawMessage `json:"object"`
}

// Load returns what was saved last; an empty State if nothing was.
func (d *Dir) Load() (State, error) {
	name := filepath.Join(d.path, stateFile)
	data, err := os.ReadFile(name)
	if errors.Is(err, fs.ErrNotExist) {
		return State{}, nil
	}
	if err != nil {
		return State{}, err
	}
	s, err := decode(data)
	if err != nil {
		return State{}, fmt.Errorf("%s: %w: move it away to begin without", name, err)
	}
	return s, nil
}

func decode(data []byte) (State, error) {
	var f file
	if err := json.Unmarshal(data, &f); err != nil {
		return State{}, err
	}
	if f.APIVersion != apiVersion || f.Kind != kind {
		return State{}, fmt.Errorf("should be a %s of %s, is %q of %q", kind, apiVersion, f.Kind, f.APIVersion)
	}
	s := State{Version: f.Version}
	for i, one := range f.Objects {
		o := &unstructured.Unstructured{}
		if err := o.UnmarshalJSON(one.Object); err != nil {
			return State{}, fmt.Errorf("objects[%d]: %w", i, err)
		}
		s.Objects = append(s.Objects, Object{o, one.FromFile})
	}
	return s, nil
}

// Save replaces what was saved: after a crash or a power failure the file has the old or the new state, as a whole. Objects
// must not be changed afterwards: Save writes nothing if they are the same ones as before, and encodes only new ones.
func (d *Dir) Save(s State) error {
	if d.saved != nil && slices.Equal(s.Objects, d.saved) {
		return nil
	}
	var data bytes.Buffer
	fmt.Fprintf(&data, `{"apiVersion":%q,"kind":%q,"version":%d,"objects":[`, apiVersion, kind, s.Version)
	lines := make(map[Object][]byte, len(s.Objects))
	for i, o := range s.Objects {
		line := d.lines[o]
		if line == nil {
			raw, err := o.MarshalJSON()
			if err == nil {
				line, err = json.Marshal(fileObject{o.FromFile, raw})
			}
			if err != nil {
				return err
			}
		}
		lines[o] = line
		if i > 0 {
			data.WriteByte(',')
		}
		data.WriteByte('\n')
		data.Write(line)
	}
	data.WriteString("\n]}\n")
	if err := replace(filepath.Join(d.path, stateFile), data.Bytes()); err != nil {
		return err
	}
	d.saved, d.lines = s.Objects, lines
	return nil
}

// replace replaces a file by a rename of one that has reached the disk. That one has a name of its own, so that after a crash
// the next save replaces it.
func replace(name string, data []byte) error {
	temporary, err := os.OpenFile(name+".new", os.O_WRONLY|os.O_CREATE|os.O_TRUNC, 0o600)
	if err != nil {
		return err
	}
	defer os.Remove(temporary.Name()) // fails after the rename
	_, err = temporary.Write(data)
	if err := errors.Join(err, temporary.Sync(), temporary.Close()); err != nil {
		return err
	}
	if err := os.Rename(temporary.Name(), name); err != nil {
		return err
	}
	return durable.SyncDirectory(filepath.Dir(name))
}

// Close unlocks the directory.
func (d *Dir) Close() error { return d.lock.Close() }
