package replica

import (
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"
)

// bindAll is an app that listens on a port of its own choice, at several addresses at once, and elsewhere.
func bindAll() {
	port, dir := os.Getenv("BIND"), os.Getenv("DIR")
	_ = os.Remove(dir + "/socket")
	for _, a := range [][2]string{{"tcp4", "127.0.0.1:" + port}, {"tcp6", "[::1]:" + port}, {"unix", dir + "/socket"}, {"tcp", "127.0.0.1:0"}, {"tcp4", "127.0.0.1:" + port}} {
		l, err := net.Listen(a[0], a[1])
		if err != nil {
			fmt.Println("bind", a[0], err)
			continue
		}
		defer l.Close()
		fmt.Println("bind", a[0], l.Addr())
	}
	fmt.Println("app listens")
	select {}
}

// Replicas whose apps bind one port get a port each, which the apps don't see. What else the apps bind is theirs, and so are the errors.
func TestAppsThatBindOnePort(t *testing.T) {
	t.Parallel()
	if err := CanRebind(); err != nil {
		t.Skip(err)
	}
	ports := NewPorts("127.0.0.1", PortRange{20000, 29999})
	t.Cleanup(ports.Close)
	taken, err := ports.Take(1)
	if err != nil {
		t.Fatal(err)
	}
	fixed := taken[0]
	var all []*world
	for range 3 {
		dir, err := os.MkdirTemp("", "bind")
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { os.RemoveAll(dir) })
		w := newWorld(t, "bind", "BIND="+strconv.Itoa(fixed), "DIR="+dir)
		w.spec.Binds = fixed
		w.start()
		all = append(all, w)
	}
	for _, w := range all {
		check := func(n int) {
			t.Helper()
			w.await(n, "the app listens", line(App, "app listens"))
			var got []string
			for _, e := range w.all() {
				if e.Kind == Line && strings.HasPrefix(e.Text, "bind ") {
					got = append(got, strings.TrimPrefix(e.Text, "bind "))
				}
			}
			got = got[5*(n-1):]
			port, own := strconv.Itoa(fixed), strconv.Itoa(w.spec.Port)
			for i, want := range []string{
				"tcp4 127.0.0.1:" + port, "tcp6 [::1]:" + port, "unix " + filepath.Join(w.spec.App.Env[len(w.spec.App.Env)-1][len("DIR="):], "socket"), "tcp 127.0.0.1:",
				"tcp4 listen tcp4 127.0.0.1:" + port + ": bind: address already in use",
			} {
				if !strings.HasPrefix(got[i], want) {
					t.Errorf("bind: got %s, want %s", got[i], want)
				}
			}
			c, err := net.Dial("tcp", net.JoinHostPort(w.spec.Host, own))
			if err != nil {
				t.Error(err)
				return
			}
			c.Close()
		}
		check(1)
		w.r.Restart(App, w.await(1, "its process", kind(Started, App)).PID, time.Minute)
		if e := w.await(1, "it ends", kind(Exited, App)); e.Status != "signal: terminated" {
			t.Errorf("%+v", e)
		}
		check(2)
	}
	if c, err := net.Dial("tcp", net.JoinHostPort("127.0.0.1", strconv.Itoa(fixed))); err == nil {
		c.Close()
		t.Error("something listens on the port itself")
	}
}

// A program that isn't there is an error like any other.
func TestAppThatBindsAndIsMissing(t *testing.T) {
	t.Parallel()
	if err := CanRebind(); err != nil {
		t.Skip(err)
	}
	w := newWorld(t, "")
	w.spec.Binds, w.spec.App.Path = 1, "/no/such/program"
	w.start()
	if e := w.await(1, "it fails", func(e Event) bool { return e.Process == App && e.RestartIn > 0 }); !strings.Contains(e.Text, "/no/such/program: no such file or directory") {
		t.Errorf("%+v", e)
	}
}
