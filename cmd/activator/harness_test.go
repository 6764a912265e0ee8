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
)

// process is a running activator.
type process struct {
	cmd    *exec.Cmd
	config string
	done   chan struct{} // its output has ended

	mu        sync.Mutex
	listening map[string][]string // addresses by purpose
	log       strings.Builder
}

const oneRevision = "revisions:\n- namespace: default\n  name: hello\n  service: hello\n  pods: "

func start(t *testing.T, args ...string) *process {
	t.Helper()
	p := &process{config: filepath.Join(t.TempDir(), "revisions.yaml"), done: make(chan struct{}), listening: map[string][]string{}}
	p.configure(t, oneRevision+"[]\n")
	p.cmd = exec.Command(program, append([]string{
		"-config", p.config, "-bind", "127.0.0.1", "-http1-port", "0", "-http2-port", "0",
	}, args...)...)
	stderr, err := p.cmd.StderrPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := p.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	go p.read(stderr)
	t.Cleanup(func() {
		if p.cmd.ProcessState == nil {
			_ = p.cmd.Process.Kill()
			<-p.done
			_ = p.cmd.Wait()
		}
		if t.Failed() {
			t.Log(p.log.String())
		}
	})
	await(t, "both ports", func() bool { return len(p.addresses("requests")) == 2 })
	return p
}

// read takes what the process logs apart: one JSON object a line.
func (p *process) read(r io.Reader) {
	defer close(p.done)
	for s := bufio.NewScanner(r); s.Scan(); {
		var line struct{ Message, For, Address string }
		err := json.Unmarshal(s.Bytes(), &line)
		p.mu.Lock()
		p.log.WriteString(s.Text() + "\n")
		if err == nil && line.Message == "listening" {
			p.listening[line.For] = append(p.listening[line.For], line.Address)
		}
		p.mu.Unlock()
	}
}

func (p *process) addresses(purpose string) []string {
	p.mu.Lock()
	defer p.mu.Unlock()
	return append([]string(nil), p.listening[purpose]...)
}

func (p *process) configure(t *testing.T, text string) {
	t.Helper()
	if err := os.WriteFile(p.config+".new", []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Rename(p.config+".new", p.config); err != nil {
		t.Fatal(err)
	}
}

// end waits for the end of the process and returns its exit code.
func (p *process) end(t *testing.T) int {
	t.Helper()
	select {
	case <-p.done:
	case <-time.After(20 * time.Second):
		t.Fatal("the process does not end")
	}
	_ = p.cmd.Wait()
	return p.cmd.ProcessState.ExitCode()
}

func await(t *testing.T, what string, ok func() bool) {
	t.Helper()
	for deadline := time.Now().Add(20 * time.Second); !ok(); time.Sleep(2 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("waited in vain for %s", what)
		}
	}
}

// client speaks HTTP/1.1, or HTTP/2 with prior knowledge.
func client(t *testing.T, http2 bool) *http.Client {
	tr := &http.Transport{Protocols: new(http.Protocols)}
	tr.Protocols.SetHTTP1(!http2)
	tr.Protocols.SetUnencryptedHTTP2(http2)
	t.Cleanup(tr.CloseIdleConnections)
	return &http.Client{Transport: tr, Timeout: 20 * time.Second}
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

// app is a pod: it answers probes, and what it is asked with the protocol that it was asked in.
func app(t *testing.T, block <-chan struct{}) (addr string, asked *atomic.Int32) {
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
	s.Config.Protocols = new(http.Protocols)
	s.Config.Protocols.SetHTTP1(true)
	s.Config.Protocols.SetUnencryptedHTTP2(true)
	s.Start()
	t.Cleanup(s.Close)
	return s.Listener.Addr().String(), asked
}

func podAt(addr string) string { return oneRevision + "[{address: '" + addr + "'}]\n" }
