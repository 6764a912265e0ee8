package proxy_test

import (
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/sluice-proxy/sluice/internal/orphans"
)

// nginxConfig has nginx pass on what it has understood, as it came where it can, and say on which connection.
const nginxConfig = `daemon off;
master_process off;
error_log stderr crit;
pid %[1]s/pid;
events { worker_connections 512; }
http {
	access_log off;
	client_body_temp_path %[1]s/client;
	proxy_temp_path %[1]s/proxy;
	fastcgi_temp_path %[1]s/fastcgi;
	uwsgi_temp_path %[1]s/uwsgi;
	scgi_temp_path %[1]s/scgi;
	ignore_invalid_headers off;
	underscores_in_headers on;
	merge_slashes off;
	keepalive_requests 10000;
	server {
		listen 127.0.0.1:%[2]d;
		location / {
			proxy_pass http://%[3]s;
			proxy_http_version 1.1;
			proxy_set_header Host $http_host;
			proxy_set_header Connection "";
			proxy_set_header X-Seen-Port $remote_port;
		}
	}
}
`

// startNginx runs an app whose parser is nginx's: what it understands it sends to a server that keeps it.
func startNginx(t *testing.T) *parser {
	t.Helper()
	nginx, err := exec.LookPath("nginx")
	if err != nil {
		t.Skip("nginx is not installed")
	}
	var mu sync.Mutex
	var all []seen
	origin := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		if err != nil {
			return
		}
		s := seen{method: r.Method, target: r.RequestURI, host: r.Host, body: string(body), fields: r.Header.Clone(), trailers: http.Header{}}
		s.port, _ = strconv.Atoi(s.fields.Get("X-Seen-Port"))
		delete(s.fields, "X-Seen-Port")
		mu.Lock()
		all = append(all, s)
		mu.Unlock()
		_, _ = io.WriteString(w, "ok")
	}))
	origin.Config.DisableGeneralOptionsHandler = true
	t.Cleanup(origin.Close)
	addr := runNginx(t, nginx, strings.TrimPrefix(origin.URL, "http://"))
	return &parser{
		addr: addr,
		taken: func() []seen {
			mu.Lock()
			defer mu.Unlock()
			return slices.Clone(all)
		},
		unsaid: []string{"Content-Length", "Connection", "Upgrade", "Expect", "Te", "Keep-Alive", "Trailers"},
		refused: map[string]string{
			"get /":     "nginx takes methods in upper case alone",
			"OPTIONS *": "nginx has no asterisk-form",
		},
	}
}

// runNginx runs it until the test ends; with another port when the first is taken by somebody.
func runNginx(t *testing.T, nginx, origin string) (addr string) {
	t.Helper()
	dir := t.TempDir()
	file := filepath.Join(dir, "conf")
	var out []byte
	for range 3 {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		port := l.Addr().(*net.TCPAddr).Port
		l.Close()
		if err := os.WriteFile(file, fmt.Appendf(nil, nginxConfig, dir, port, origin), 0o600); err != nil {
			t.Fatal(err)
		}
		var text lockedBuffer
		cmd := exec.Command(nginx, "-p", dir, "-c", file, "-e", "stderr")
		cmd.Stdout, cmd.Stderr = &text, &text
		if err := orphans.StartFor(t, cmd); err != nil {
			t.Fatal(err)
		}
		exited := make(chan struct{})
		go func() { defer close(exited); _ = cmd.Wait() }()
		addr := net.JoinHostPort("127.0.0.1", strconv.Itoa(port))
		if listening(addr, exited) {
			t.Cleanup(func() { _ = cmd.Process.Kill(); <-exited })
			return addr
		}
		_ = cmd.Process.Kill()
		<-exited
		out = text.bytes()
	}
	t.Fatalf("nginx doesn't start: %s", out)
	return ""
}

// listening waits for somebody to listen.
func listening(addr string, exited chan struct{}) bool {
	for end := time.Now().Add(time.Minute); time.Now().Before(end); time.Sleep(5 * time.Millisecond) {
		select {
		case <-exited:
			return false
		default:
		}
		if c, err := net.Dial("tcp", addr); err == nil {
			c.Close()
			return true
		}
	}
	return false
}

// lockedBuffer is for a process's output.
type lockedBuffer struct {
	mu sync.Mutex
	b  []byte
}

func (b *lockedBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.b = append(b.b, p...)
	return len(p), nil
}

func (b *lockedBuffer) bytes() []byte {
	b.mu.Lock()
	defer b.mu.Unlock()
	return slices.Clone(b.b)
}
