package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"time"

	"github.com/sluice-proxy/sluice/bench/internal/load"
	"github.com/sluice-proxy/sluice/bench/internal/origin"
)

// site has the programs of the contenders, and a directory that is removed at the end.
type site struct {
	dir        string
	executable string            // this program
	root       string            // of this module
	programs   map[string]string // paths, by name, and @REVISION if not of the working tree
	commits    map[string]string // of revisions
	files      int               // maximum of open files of a process
	how        building
}

// build is a Go program that is built for a comparison.
type build struct{ name, module, pkg string } // module: its directory, relative to this module's

// packages are the Debian packages of programs.
var packages = map[string]string{"nginx": "nginx", "haproxy": "haproxy", "wrk": "wrk", "h2load": "nghttp2-client", "nghttpx": "nghttp2-proxy"}

// provide returns an error that names missing programs, or with -install installs them.
func provide(ctx context.Context, o options, stderr io.Writer) error {
	if _, err := os.Stat("/proc/self/stat"); err != nil {
		return errors.New("this needs Linux, with /proc to measure processes")
	}
	missing := o.missing()
	if len(missing) == 0 {
		return nil
	}
	get := "apt-get install -y --no-install-recommends " + strings.Join(missing, " ")
	if !o.install {
		return fmt.Errorf("missing: %s; run this with -install, or %s", strings.Join(missing, ", "), get)
	}
	script := "apt-get update -qq && DEBIAN_FRONTEND=noninteractive " + get
	args := []string{"sh", "-c", script}
	if os.Geteuid() != 0 {
		args = append([]string{"sudo"}, args...)
	}
	cmd := exec.CommandContext(ctx, args[0], args[1:]...)
	cmd.Stdin, cmd.Stdout, cmd.Stderr = os.Stdin, stderr, stderr
	if err := cmd.Run(); err != nil {
		return fmt.Errorf("%s: %w", get, err)
	}
	return nil
}

// missing returns the packages of programs that aren't installed, sorted.
func (o options) missing() (all []string) {
	need := map[string]bool{}
	for _, s := range o.scenarios {
		for _, p := range s.programs {
			need[p] = true
		}
	}
	for _, c := range o.contenders {
		for _, p := range c.programs {
			need[p] = true
		}
	}
	for p := range need {
		if _, err := find(p); err != nil {
			all = append(all, packages[p])
		}
	}
	slices.Sort(all)
	return all
}

// find looks for a program, also in Debian's directories for administrators.
func find(program string) (string, error) {
	path, err := exec.LookPath(program)
	if err != nil {
		path, err = exec.LookPath(filepath.Join("/usr/sbin", program))
	}
	return path, err
}

// building has the flags of a build.
type building struct{ args, env []string }

// released builds as for the images.
func released() building {
	return building{[]string{"build", "-trimpath", "-ldflags", "-s -w"}, []string{"CGO_ENABLED=0"}}
}

// prepare makes a site, and builds the programs of all contenders.
func prepare(ctx context.Context, all []*contender, how building, stderr io.Writer) (_ *site, err error) {
	s := &site{programs: map[string]string{}, commits: map[string]string{}, how: how}
	if s.files, err = openFiles(); err != nil {
		return nil, err
	}
	if s.executable, err = os.Executable(); err != nil {
		return nil, err
	}
	if s.dir, err = os.MkdirTemp("", "sluice-compare-"); err != nil {
		return nil, err
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, s.close())
		}
	}()
	for p := range packages {
		if path, err := find(p); err == nil {
			s.programs[p] = path
		}
	}
	mod, err := exec.CommandContext(ctx, "go", "env", "GOMOD").Output()
	if err != nil {
		return nil, fmt.Errorf("go env GOMOD: %w", err)
	}
	s.root = filepath.Dir(string(bytes.TrimSpace(mod)))
	for _, c := range all {
		if err := s.buildAll(ctx, c, stderr); err != nil {
			return nil, err
		}
	}
	return s, nil
}

func (s *site) close() error { return os.RemoveAll(s.dir) }

// buildAll makes the programs of c that aren't made yet.
func (s *site) buildAll(ctx context.Context, c *contender, stderr io.Writer) error {
	for _, b := range c.builds {
		name := c.program(b.name)
		if s.programs[name] != "" {
			continue
		}
		tree, err := s.tree(ctx, c.revision)
		if err != nil {
			return err
		}
		out := filepath.Join(s.dir, strings.ReplaceAll(name, "/", "-")) // a branch's name may have slashes
		_, _ = fmt.Fprintln(stderr, "building", name)
		cmd := exec.CommandContext(ctx, "go", append(slices.Clone(s.how.args), "-o", out, b.pkg)...)
		cmd.Dir = filepath.Join(tree, b.module)
		cmd.Env = append(os.Environ(), s.how.env...)
		if said, err := cmd.CombinedOutput(); err != nil {
			return fmt.Errorf("go build %s: %w\n%s", b.pkg, err, said)
		}
		s.programs[name] = out
	}
	return nil
}

// tree is the directory of a revision's sources, which are taken from the repository the first time. For "" it is the working
// tree's.
func (s *site) tree(ctx context.Context, revision string) (string, error) {
	if revision == "" {
		return s.root, nil
	}
	if commit := s.commits[revision]; commit != "" {
		return filepath.Join(s.dir, commit), nil
	}
	out, err := exec.CommandContext(ctx, "git", "-C", s.root, "rev-parse", "--verify", "--quiet", "--end-of-options", revision+"^{commit}").Output()
	if err != nil {
		return "", fmt.Errorf("-baseline %s: git knows no such revision in %s", revision, s.root)
	}
	commit := string(bytes.TrimSpace(out))
	dir := filepath.Join(s.dir, commit)
	if err := os.Mkdir(dir, 0o700); err != nil {
		return "", err
	}
	// An archive, since a second worktree would leave a trace in the repository if this process were killed.
	const script = `set -o pipefail; git -C "$1" archive "$2" | tar -x -C "$3"`
	if said, err := exec.CommandContext(ctx, "bash", "-c", script, "bash", s.root, commit, dir).CombinedOutput(); err != nil {
		return "", fmt.Errorf("git archive %s: %w: %s", revision, err, bytes.TrimSpace(said))
	}
	s.commits[revision] = commit
	return dir, nil
}

// openFiles raises the limit of open files as far as possible, for this process and for those that it starts, for which Go
// would restore the old limit.
func openFiles() (int, error) {
	var l syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_NOFILE, &l); err != nil {
		return 0, err
	}
	const most = 1 << 16 // nginx needs memory for each
	l.Cur = min(l.Max, most)
	if err := syscall.Setrlimit(syscall.RLIMIT_NOFILE, &l); err != nil {
		return 0, err
	}
	if l.Cur < 4000 {
		return 0, fmt.Errorf("at most %d files may be open: 4000 are needed (ulimit -n)", l.Cur)
	}
	return int(l.Cur), nil
}

// crowd is how many connections a proxy may hold if it opens as many to the app: 10 000, or as many as fit in 15/16 of its open
// files, above which nginx closes idle connections (ngx_drain_connections).
func (s *site) crowd() int { return min(10_000, (s.files-100)*15/32-100) }

// ready waits until the proxy or the app gives the right answer.
func (s *stand) ready(ctx context.Context, p load.Protocol) error {
	t := load.Target{Addr: s.addr, Path: origin.Small, Protocol: p}
	if p == load.GRPC {
		t.Path = origin.Unary
	}
	return s.proxy.Ready(ctx, 15*time.Second, func(ctx context.Context) error { return load.Check(ctx, t) })
}
