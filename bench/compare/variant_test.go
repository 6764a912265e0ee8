package main

import (
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/sluice-proxy/sluice/bench/internal/load"
)

func TestBaselineAndVariants(t *testing.T) {
	o, err := parse([]string{
		"-contenders", "nginx,queue-proxy,pair", "-baseline", "old/one", "-variant", "loud=pair SLUICE_X=a=b -log-level=debug",
	}, io.Discard)
	if err != nil {
		t.Fatal(err)
	}
	got := map[string]*contender{}
	for _, c := range o.contenders {
		got[c.name] = c
	}
	if _, who := names(o); strings.Join(who, " ") != "nginx queue-proxy pair queue-proxy@old/one pair@old/one loud" {
		t.Fatalf("%v", who)
	}
	for name, want := range map[string]string{
		"nginx": "", "queue-proxy": "queue-proxy@old/one", "pair": "pair@old/one", "queue-proxy@old/one": "", "loud": "pair",
	} {
		if got[name].baseline != want {
			t.Errorf("%s is compared with %q, want %q", name, got[name].baseline, want)
		}
	}
	if p := got["pair@old/one"].program("activator"); p != "activator@old/one" {
		t.Errorf("the program of the baseline is %s", p)
	}
	loud := got["loud"].variant
	if strings.Join(loud.env, " ") != "SLUICE_X=a=b" || strings.Join(loud.args, " ") != "-log-level=debug" || loud.program("activator") != "activator" {
		t.Errorf("%+v", loud)
	}
}

// settingsArrive checks that the settings of a variant reach its processes: a wrong one ends them.
func settingsArrive(t *testing.T, s *site, app string) {
	t.Helper()
	for command, want := range map[string]string{
		"x=queue-proxy SLUICE_QUEUE_DEPTH=none": "queue-proxy ended (exit status 1); it said: ",
		"x=pair -log-level=none":                `activator ended (exit status 1); it said: activator: log level "none"`,
	} {
		v, err := parseSetting(command)
		if err != nil {
			t.Fatal(err)
		}
		c, err := v.contender()
		if err != nil {
			t.Fatal(err)
		}
		st, err := c.start(s, job{dir: t.TempDir(), upstream: app, protocol: load.HTTP1, app: load.HTTP1, limit: 1, pods: 1, variant: c.variant})
		if err != nil {
			t.Fatal(err)
		}
		if err := st.ready(t.Context(), load.HTTP1); err == nil || !strings.HasPrefix(err.Error(), want) {
			t.Errorf("%s: %v", command, err)
		}
		st.stop()
	}
}

// A program of the baseline is built from that revision's sources, and the working tree stays as it is.
func TestRevisionIsBuilt(t *testing.T) {
	installed(t, "git", "bash", "tar")
	root := t.TempDir()
	write := func(name, text string) {
		t.Helper()
		if err := os.WriteFile(filepath.Join(root, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	git := func(args ...string) {
		t.Helper()
		args = append([]string{"-C", root, "-c", "user.name=x", "-c", "user.email=x@example.com"}, args...)
		if said, err := exec.Command("git", args...).CombinedOutput(); err != nil {
			t.Fatalf("git %v: %v: %s", args, err, said)
		}
	}
	write("go.mod", "module x\n\ngo 1.26\n")
	write("main.go", `package main; func main() { println("old") }`)
	git("init", "-q")
	git("add", ".")
	git("commit", "-q", "-m", "old")
	git("branch", "some/old")
	write("main.go", `package main; func main() { println("new") }`)

	s := &site{dir: t.TempDir(), root: root, programs: map[string]string{}, commits: map[string]string{}, how: building{args: []string{"build"}}}
	c := &contender{own: true, builds: []build{{"x", ".", "."}}}
	old := baselines([]*contender{c}, "some/old")[0]
	for want, c := range map[string]*contender{"new": c, "old": old} {
		if err := s.buildAll(t.Context(), c, t.Output()); err != nil {
			t.Fatal(err)
		}
		if said, err := exec.Command(s.programs[c.program("x")]).CombinedOutput(); err != nil || strings.TrimSpace(string(said)) != want {
			t.Errorf("%s, %v; want %s", said, err, want)
		}
	}
	if said, err := exec.Command("git", "-C", root, "worktree", "list").Output(); err != nil || strings.Count(string(said), "\n") != 1 {
		t.Errorf("worktrees: %s, %v", said, err)
	}
	c.revision = "no-such"
	if err := s.buildAll(t.Context(), c, t.Output()); err == nil || !strings.Contains(err.Error(), "-baseline no-such: git knows no such revision") {
		t.Error(err)
	}
}
