package replica

import (
	"bufio"
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"os/signal"
	"strings"
	"syscall"
	"testing"
	"time"

	"go.uber.org/goleak"
)

// The test binary is also every process of the tests, by its argv[0].
func TestMain(m *testing.M) {
	switch os.Args[0] {
	case SupervisorName:
		os.Exit(Main())
	case "test-proxy":
		fakeProxy()
	case "test-app":
		app()
	case "test-quickstart":
		fakeQuickstart()
	default:
		goleak.VerifyTestMain(m)
	}
}

// fakeProxy ends on SIGTERM after PROXY_DRAIN.
func fakeProxy() {
	c := make(chan os.Signal, 1)
	signal.Notify(c, syscall.SIGTERM)
	if os.Getenv("PROXY_EXIT") != "" {
		os.Exit(3)
	}
	fmt.Println("proxy runs")
	<-c
	fmt.Println("draining")
	d, _ := time.ParseDuration(os.Getenv("PROXY_DRAIN"))
	time.Sleep(d)
	fmt.Println("drained")
	os.Exit(0)
}

var eaten []byte

// app does what APP says, a list of words.
func app() {
	c := make(chan os.Signal, 1)
	signal.Notify(c, syscall.SIGTERM)
	for _, word := range strings.Fields(os.Getenv("APP")) {
		switch word {
		case "listen":
			go serveApp("127.0.0.1:" + os.Getenv("PORT"))
		case "bind":
			signal.Reset(syscall.SIGTERM)
			bindAll()
		case "stray":
			go serveApp("127.0.0.1:0")
		case "crash":
			fmt.Fprintln(os.Stderr, "cannot open the database")
			os.Exit(7)
		case "stubborn":
			signal.Ignore(syscall.SIGTERM)
		case "eat": // 64 MiB, each page of it
			eaten = make([]byte, 64<<20)
			for i := 0; i < len(eaten); i += 4096 {
				eaten[i] = 1
			}
		case "fork":
			again(nil)
		case "setsid":
			again(&syscall.SysProcAttr{Setsid: true})
		case "orphan": // a child whose parent ends at once
			again(&syscall.SysProcAttr{Setsid: true}, "setsid", "leave")
		case "leave":
			os.Exit(0)
		}
	}
	fmt.Println("app runs", os.Getenv("MARK"))
	<-c
	fmt.Println("app ends")
	os.Exit(0)
}

// again starts another app, that ignores SIGTERM.
func again(attr *syscall.SysProcAttr, words ...string) {
	self, _ := Self()
	cmd := &exec.Cmd{
		Path: self, Args: []string{"test-app"}, SysProcAttr: attr, Stdout: os.Stdout,
		Env: append(os.Environ(), "APP=stubborn "+strings.Join(words, " ")),
	}
	if err := cmd.Start(); err != nil {
		panic(err)
	}
}

func serveApp(addr string) {
	l, err := net.Listen("tcp", addr)
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	_ = http.Serve(l, http.NotFoundHandler())
}

// fakeQuickstart runs the replica that it reads from stdin, prints its events, and waits to be killed.
func fakeQuickstart() {
	var spec Spec
	if err := json.NewDecoder(bufio.NewReader(os.Stdin)).Decode(&spec); err != nil {
		panic(err)
	}
	out := json.NewEncoder(os.Stdout)
	r, err := Start(Config{Spec: spec, Notify: func(e Event) { _ = out.Encode(e) }})
	if err != nil {
		panic(err)
	}
	<-r.Done()
}
