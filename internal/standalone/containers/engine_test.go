package containers

import (
	"context"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"
)

// engine is one whose program is a script, in a PATH of its own.
func engine(t *testing.T, name Choice, script string) *Engine {
	t.Helper()
	program(t, name, script)
	e, err := Find(name)
	if err != nil {
		t.Fatal(err)
	}
	return e
}

func program(t *testing.T, name Choice, script string) {
	t.Helper()
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, string(name)), []byte("#!/bin/sh\n"+script+"\n"), 0o700); err != nil {
		t.Fatal(err)
	}
	t.Setenv("PATH", dir)
}

func TestRun(t *testing.T) {
	t.Setenv("TAKEN", "by the quickstart")
	all := Container{
		Name: "n", Image: "example.com/i:v1", Host: "h", Labels: map[string]string{"b": "2", "a": "1"},
		Env:     map[string]string{"SECRET": "s3cret", "PATH": "/p", "TAKEN": "t", "my_proxy": "p", "A*": "x", "GOOGLE": "g"},
		Command: []string{"/run", "c"}, Args: []string{"-d"}, Dir: "/srv", User: "1:2", ReadOnly: true, NeverPull: true,
		Mounts: []Mount{{Source: "/own", Path: "/a", Own: true}, {Source: "/host", Path: "/b", ReadOnly: true}},
		Memory: 1 << 20, CPU: 1500, Grace: 7 * time.Second, Publish: []Port{{"127.0.0.1", 20000, 8080}, {"127.0.0.1", 20001, 9}},
	}
	for _, c := range []struct {
		engine    Choice
		container Container
		want, env string
	}{
		{Podman, Container{Name: "n", Image: "i"}, "i", ""},
		{Docker, Container{Name: "n", Image: "i", Args: []string{"--x"}, ReadOnly: true}, "--read-only i --x", ""},
		{Podman, Container{Name: "n", Image: "i", Host: "h", Network: NetworkOf("o")}, "--hostname h --network container:o i", ""},
		{Docker, Container{Name: "n", Image: "i", Host: "h", Network: HostNetwork}, "--network host i", ""}, // where a host name is an error
		{Docker, Container{Name: "n", Image: "i", Shared: true}, "i", ""},
		{
			Podman, all, "--label a=1 --label b=2 --env A*=x --env GOOGLE --env PATH=/p --env SECRET --env TAKEN=t --env my_proxy=p --hostname h " +
				"--publish 127.0.0.1:20000:8080 --publish 127.0.0.1:20001:9 --volume /own:/a:rw,z --volume /host:/b:ro --workdir /srv --user 1:2 --read-only --read-only-tmpfs=false " +
				"--pull never --memory 1048576 --cpus 1.5 --stop-timeout 7 --entrypoint /run example.com/i:v1 c -d",
			"GOOGLE=g SECRET=s3cret",
		},
	} {
		e := &Engine{name: c.engine, path: "/bin/e", owner: "me/1"}
		argv, env := e.Run(c.container)
		rm := "--rm "
		if c.container.Shared {
			rm = ""
		}
		want := strings.Fields("/bin/e run " + rm + "--name n --log-driver none --label dev.sluice.quickstart=me/1 " + c.want)
		if !slices.Equal(argv, want) || strings.Join(env, " ") != c.env {
			t.Errorf("got  %q %q\nwant %q %s", argv, env, want, c.env)
		}
	}
}

// What is found depends on the choice, and on what works.
func TestFind(t *testing.T) {
	t.Setenv("PATH", t.TempDir())
	_, err := Find(Auto)
	if got, want := fmt.Sprint(err), "there is no podman here, and there is no docker here"; got != want {
		t.Errorf("%s, want %s", got, want)
	}
	if _, err := Find(Process); err == nil || err.Error() != "-runtime process allows none" {
		t.Error(err)
	}
	program(t, Docker, "echo no daemon >&2; echo >&2; exit 1")
	if _, err := Find(""); err == nil || err.Error() != "there is no podman here, and docker doesn't work: no daemon" {
		t.Error(err)
	}
	if e := engine(t, Docker, "echo 28.2"); e.Name() != "docker" {
		t.Error(e.Name())
	}
}

func TestPull(t *testing.T) {
	e := engine(t, Podman, `case "$1 $2" in
"image inspect") [ "$5" = here ] ;;
"pull bad") printf 'Trying\nError: manifest unknown\n' >&2; exit 125 ;;
"pull "*) printf 'Trying\n\nab' >&2; echo c; ;;
esac`)
	for _, c := range []struct {
		image, policy, want string
	}{
		{"here", "IfNotPresent", "[] <nil>"},
		{"here", "Always", `["pulling here with podman" "Trying" "abc" "pulled here"] <nil>`},
		{"new", "", `["pulling new with podman" "Trying" "abc" "pulled new"] <nil>`},
		{"bad", "IfNotPresent", `["pulling bad with podman" "Trying" "Error: manifest unknown"] image bad can't be pulled: Error: manifest unknown`},
		{"here", "Never", "[] <nil>"},
		{"new", "Never", "[] image new isn't here, and its imagePullPolicy is Never"},
	} {
		var lines []string
		err := e.Pull(t.Context(), c.image, c.policy, func(line string) { lines = append(lines, line) })
		if got := fmt.Sprintf("%q %v", lines, err); got != c.want {
			t.Errorf("got  %s\nwant %s", got, c.want)
		}
	}
}

// A pull ends with its context, and with what it has started.
func TestPullIsCancelled(t *testing.T) {
	e := engine(t, Podman, `case $1 in image) exit 1 ;; pull) echo begun; exec /bin/sleep 1000 ;; esac`)
	ctx, cancel := context.WithCancel(t.Context())
	err := e.Pull(ctx, "i", "", func(line string) {
		if line == "begun" {
			cancel()
		}
	})
	if err == nil {
		t.Error("no error")
	}
}

func TestAwait(t *testing.T) {
	asked := filepath.Join(t.TempDir(), "asked")
	e := engine(t, Docker, fmt.Sprintf(`[ $1 != version ] || exit 0
[ "$1 $5" = "container n" ] || exit 1
if [ -e %[1]s ]; then echo true 1 none; else echo false 0 none; : > %[1]s; fi`, asked))
	if pid := e.Await(t.Context(), "n"); pid != 0 {
		t.Errorf("PID %d isn't the container's", pid)
	}
	if _, err := os.Stat(asked); err != nil {
		t.Error("it didn't wait")
	}
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	if e.Await(ctx, "other"); ctx.Err() == nil {
		t.Error("another container runs")
	}
}

// Only the containers of quickstarts of this machine that have ended are removed, those that share a network before the one that has it.
func TestSweep(t *testing.T) {
	host, err := os.Hostname()
	if err != nil {
		t.Fatal(err)
	}
	ended := exec.Command("/bin/true")
	if err := ended.Run(); err != nil {
		t.Fatal(err)
	}
	if syscall.Kill(ended.Process.Pid, 0) == nil {
		t.Skip("its PID has been given to another process")
	}
	removed := filepath.Join(t.TempDir(), "removed")
	e := engine(t, Docker, fmt.Sprintf(`case $1 in
ps) echo "a b c d e f" ;;
inspect) printf 'a %[1]s/%[2]d bridge\nb %[1]s/%[3]d host\nc elsewhere/%[2]d bridge\nd bridge\ne %[1]s/%[2]d container:a\nf %[1]s/%[2]d\n' ;;
rm) echo "$@" >> %[4]s ;;
esac`, host, ended.Process.Pid, os.Getpid(), removed))
	if err := e.Sweep(t.Context()); err != nil {
		t.Fatal(err)
	}
	if got, err := os.ReadFile(removed); err != nil || string(got) != "rm --force e\nrm --force a f\n" {
		t.Errorf("%q, %v", got, err)
	}
}

// The port of a container may be open before the app listens.
func TestListens(t *testing.T) {
	for _, c := range []struct {
		name   string
		behind func(net.Conn)
		want   bool
	}{
		{"open", func(conn net.Conn) { _, _ = conn.Read(make([]byte, 1)) }, true},
		{"speaks first", func(conn net.Conn) { _, _ = conn.Write([]byte("220 ready")) }, true},
		{"closed by the proxy", func(net.Conn) {}, false},
		{"reset by the proxy", func(conn net.Conn) { _ = conn.(*net.TCPConn).SetLinger(0) }, false},
	} {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		done := make(chan struct{})
		go func() {
			defer close(done)
			if conn, err := l.Accept(); err == nil {
				c.behind(conn)
				conn.Close()
			}
		}()
		if err := Listens(t.Context(), l.Addr().String(), Hold); (err == nil) != c.want {
			t.Errorf("%s: %v", c.name, err)
		}
		<-done
		l.Close()
		if err := Listens(t.Context(), l.Addr().String(), Hold); err == nil {
			t.Errorf("%s: nothing accepts, and no error", c.name)
		}
	}
}

func TestLinesAreBounded(t *testing.T) {
	var got []string
	l := &liner{line: func(s string) { got = append(got, strconv.Itoa(len(s))) }}
	for range 3 {
		_, _ = l.Write(make([]byte, 3000)) // zeros
	}
	_, _ = l.Write([]byte("\nab\n"))
	if want := []string{"1024", "2"}; !slices.Equal(got, want) {
		t.Errorf("%v, want %v", got, want)
	}
}
