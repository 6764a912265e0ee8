package e2e

import (
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
)

// nginx serves files, and takes them by PUT. Its connections end after 50 requests or a second.
func nginx(http2 string) func(s *street, dir string, port int) *exec.Cmd {
	return func(s *street, dir string, port int) *exec.Cmd {
		user := ""
		if os.Geteuid() == 0 {
			user = "user root;"
		}
		conf, _ := os.ReadFile("testdata/nginx.conf") // an empty one is refused
		text := strings.NewReplacer("$DIR", dir, "$FILES", s.files, "$PORT", strconv.Itoa(port), "$USER", user, "$HTTP2", http2).
			Replace(string(conf))
		file := filepath.Join(dir, "nginx.conf")
		_ = os.WriteFile(file, []byte(text), 0o600)
		return exec.Command("nginx", "-e", "stderr", "-p", dir, "-c", file)
	}
}

func caddy(_ *street, _ string, _ int) *exec.Cmd {
	return exec.Command("caddy", "run", "--adapter", "caddyfile", "--config", absolute("testdata/Caddyfile"))
}

// python is HTTP/1.0 with a connection for each request; what its CGI scripts answer ends with the connection.
func python(s *street, _ string, port int) *exec.Cmd {
	return exec.Command("python3", "-m", "http.server", "--cgi", "--bind", "127.0.0.1", "--directory", s.files, strconv.Itoa(port))
}

// node closes idle connections after five seconds, its default.
func node(*street, string, int) *exec.Cmd {
	return exec.Command("node", absolute("testdata/server.mjs"))
}

// goApp is e2e/app: net/http, and a websocket.
func goApp(s *street, _ string, _ int) *exec.Cmd {
	return exec.Command(filepath.Join(s.dir, "app"))
}

func absolute(name string) string {
	path, err := filepath.Abs(name)
	if err != nil {
		return name
	}
	return path
}
