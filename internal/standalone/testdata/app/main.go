// Command app is the program of the image in the tests of containers.
package main

import (
	"bytes"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/signal"
	"strings"
	"syscall"
	"time"
)

func main() {
	ended := make(chan os.Signal, 1)
	signal.Notify(ended, syscall.SIGTERM)
	switch os.Args[1] {
	case "write": // FILE TEXT
		if err := os.WriteFile(os.Args[2], []byte(os.Args[3]), 0o644); err != nil {
			fmt.Println(err)
			os.Exit(1)
		}
	case "fail": // TEXT
		fmt.Fprintln(os.Stderr, os.Args[2])
		os.Exit(1)
	case "slow": // DURATION: listens only then, and ignores SIGTERM
		d, _ := time.ParseDuration(os.Args[2])
		time.Sleep(d)
		serve(":" + os.Getenv("PORT"))
	case "fixed": // ADDRESS
		go serve(os.Args[2])
		<-ended
	case "get": // URL
		resp, err := http.Get(os.Args[2])
		for ; err != nil; resp, err = http.Get(os.Args[2]) {
			time.Sleep(10 * time.Millisecond)
		}
		fmt.Println("got", resp.Status)
	case "call": // URL: answers with what that does; a POST ends it
		http.HandleFunc("GET /", func(w http.ResponseWriter, _ *http.Request) { call(w, os.Args[2]) })
		http.HandleFunc("POST /", func(http.ResponseWriter, *http.Request) { os.Exit(3) })
		go listen(":"+os.Getenv("PORT"), nil)
		<-ended
	case "post": // URL: sends an event with what it would serve
		var text bytes.Buffer
		tell(&text)
		r, _ := http.NewRequest(http.MethodPost, os.Args[2], &text)
		r.Header = http.Header{"Content-Type": {"text/plain"}, "Ce-Specversion": {"1.0"}, "Ce-Type": {"told"}, "Ce-Source": {"/app"}, "Ce-Id": {"1"}}
		resp, err := http.DefaultClient.Do(r)
		if err != nil {
			fmt.Println(err)
			os.Exit(1)
		}
		fmt.Println("got", resp.Status)
		<-ended
	case "serve":
		go serve(":" + os.Getenv("PORT"))
		<-ended
	}
}

func serve(addr string) {
	listen(addr, http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { tell(w) }))
}

func listen(addr string, h http.Handler) {
	fmt.Println("listens on", addr)
	fmt.Println(http.ListenAndServe(addr, h))
	os.Exit(1)
}

func call(w http.ResponseWriter, url string) {
	resp, err := http.Get(url)
	if err != nil {
		http.Error(w, err.Error(), http.StatusBadGateway)
		return
	}
	defer resp.Body.Close()
	_, _ = io.Copy(w, resp.Body)
}

func tell(w io.Writer) {
	fmt.Fprintf(w, "args: %q\npid: %d\nuser: %d:%d\n", os.Args, os.Getpid(), os.Getuid(), os.Getgid())
	for _, v := range os.Environ() {
		name, value, _ := strings.Cut(v, "=")
		fmt.Fprintf(w, "%s: %q\n", name, value)
	}
	for _, path := range []string{"/cache/made", "/etc/cfg/app.conf"} {
		text, err := os.ReadFile(path)
		if err != nil {
			fmt.Fprintln(w, err)
			continue
		}
		fmt.Fprintf(w, "%s: %q\n", path, text)
	}
	for _, path := range []string{"/x", "/etc/cfg/x", "/cache/x"} {
		err := os.WriteFile(path, nil, 0o644)
		if e, ok := err.(*os.PathError); ok {
			err = e.Err
		}
		fmt.Fprintf(w, "write %s: %v\n", path, said(err))
	}
	for _, file := range []string{"/sys/fs/cgroup/memory.max", "/sys/fs/cgroup/memory/memory.limit_in_bytes"} {
		if text, err := os.ReadFile(file); err == nil {
			fmt.Fprintf(w, "memory: %s\n", text)
		}
	}
}

func said(err error) string {
	if err == nil {
		return "ok"
	}
	return err.Error()
}
