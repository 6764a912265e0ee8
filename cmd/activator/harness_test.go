package main

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/sluice-proxy/sluice/internal/orphans"
)

// process is a running activator, or another program that logs like one.
type process struct {
	cmd    *exec.Cmd
	config string
	done   chan struct{} // its output has ended

	mu        sync.Mutex
	listening map[string][]string // addresses by purpose
	out, log  strings.Builder     // standard output and error
}

const oneRevision = "revisions:\n- namespace: default\n  name: hello\n  service: hello\n  pods: "

// start runs the activator with a file of revisions.
func start(t testing.TB, args ...string) *process {
	t.Helper()
	config := filepath.Join(t.TempDir(), "revisions.yaml")
	p := &process{config: config}
	p.configure(t, oneRevision+"[]\n")
	p.run(t, exec.Command(binary, append([]string{
		"-config", config, "-bind", "127.0.0.1", "-http1-port", "0", "-http2-port", "0",
	}, args...)...))
	await(t, "both ports", func() bool { return len(p.addresses("requests")) == 2 })
	return p
}

// run starts cmd, and ends it with the test.
func (p *process) run(t testing.TB, cmd *exec.Cmd) {
	t.Helper()
	p.cmd, p.done, p.listening = cmd, make(chan struct{}), map[string][]string{}
	stdout, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	stderr, err := cmd.StderrPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := orphans.StartFor(t, cmd); err != nil {
		t.Fatal(err)
	}
	var reading sync.WaitGroup
	reading.Go(func() { p.read(stdout, &p.out) })
	reading.Go(func() { p.read(stderr, &p.log) })
	go func() { defer close(p.done); reading.Wait() }()
	t.Cleanup(func() {
		if cmd.ProcessState == nil {
			_ = cmd.Process.Kill()
			<-p.done
			_ = cmd.Wait()
		}
		if t.Failed() {
			t.Log(p.log.String(), p.out.String())
		}
	})
}

// read parses the log of the process, one JSON object a line.
func (p *process) read(r io.Reader, into *strings.Builder) {
	for s := bufio.NewScanner(r); s.Scan(); {
		var line struct{ Message, For, Address string }
		err := json.Unmarshal(s.Bytes(), &line)
		p.mu.Lock()
		into.WriteString(s.Text() + "\n")
		if err == nil && line.Message == "listening" {
			p.listening[line.For] = append(p.listening[line.For], line.Address)
		}
		p.mu.Unlock()
	}
}

// says reports whether the process has written text to standard error or output, and prints whether to output.
func (p *process) says(text string) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return strings.Contains(p.log.String(), text) || strings.Contains(p.out.String(), text)
}

func (p *process) prints(text string) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return strings.Contains(p.out.String(), text)
}

func (p *process) addresses(purpose string) []string {
	p.mu.Lock()
	defer p.mu.Unlock()
	return append([]string(nil), p.listening[purpose]...)
}

func (p *process) configure(t testing.TB, text string) {
	t.Helper()
	if err := os.WriteFile(p.config+".new", []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Rename(p.config+".new", p.config); err != nil {
		t.Fatal(err)
	}
}

// end waits until the process has ended and returns its exit code.
func (p *process) end(t testing.TB) int {
	t.Helper()
	select {
	case <-p.done:
	case <-time.After(time.Minute):
		t.Fatal("the process does not end")
	}
	_ = p.cmd.Wait()
	return p.cmd.ProcessState.ExitCode()
}

func await(t testing.TB, what string, ok func() bool) {
	t.Helper()
	for deadline := time.Now().Add(time.Minute); !ok(); time.Sleep(2 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("waited in vain for %s", what)
		}
	}
}

// client makes a client of HTTP/1.1, or of HTTP/2 with prior knowledge.
func client(t testing.TB, http2 bool) *http.Client {
	tr := &http.Transport{Protocols: new(http.Protocols)}
	tr.Protocols.SetHTTP1(!http2)
	tr.Protocols.SetUnencryptedHTTP2(http2)
	t.Cleanup(tr.CloseIdleConnections)
	return &http.Client{Transport: tr, Timeout: time.Minute}
}

func get(c *http.Client, addr string, header ...string) (status int, body string, err error) {
	req, err := http.NewRequest(http.MethodGet, "http://"+addr+"/", nil)
	if err != nil {
		return 0, "", err
	}
	req.Host = "hello.default.svc.cluster.local"
	for i := 0; i+1 < len(header); i += 2 {
		req.Header.Set(header[i], header[i+1])
	}
	resp, err := c.Do(req)
	if err != nil {
		return 0, "", err
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	return resp.StatusCode, resp.Proto + " " + string(b), err
}

// app is a pod: it answers probes, and requests with the protocol that they came in.
func app(t testing.TB, block <-chan struct{}) (addr string, asked *atomic.Int32) {
	asked = new(atomic.Int32)
	s := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("K-Network-Probe") == "queue" {
			_, _ = io.WriteString(w, "queue")
			return
		}
		asked.Add(1)
		if r.Header.Get("Block") != "" {
			<-block
		}
		fmt.Fprint(w, "app saw ", r.Proto)
	}))
	s.Config.Protocols = bothProtocols()
	s.Start()
	t.Cleanup(s.Close)
	return s.Listener.Addr().String(), asked
}

func bothProtocols() *http.Protocols {
	p := new(http.Protocols)
	p.SetHTTP1(true)
	p.SetUnencryptedHTTP2(true)
	return p
}

func podAt(addr string) string { return oneRevision + "[{address: '" + addr + "'}]\n" }

func text(t testing.TB, resp *http.Response) string {
	t.Helper()
	b, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}
