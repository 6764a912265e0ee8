package e2e

import (
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
)

// nginx serves files, and stores them by PUT. Its connections end after 50 requests or a second.
func nginx(http2 string) func(s *realApps, dir string, port int) *exec.Cmd {
	return func(s *realApps, dir string, port int) *exec.Cmd {
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

func caddy(_ *realApps, _ string, _ int) *exec.Cmd {
	return exec.Command("caddy", "run", "--adapter", "caddyfile", "--config", absolute("testdata/Caddyfile"))
}

// python serves HTTP/1.0 with a connection for each request; the answers of its CGI scripts end with the connection.
func python(s *realApps, _ string, port int) *exec.Cmd {
	return exec.Command("python3", "-m", "http.server", "--cgi", "--bind", "127.0.0.1", "--directory", s.files, strconv.Itoa(port))
}

// node closes idle connections after five seconds, its default.
func node(*realApps, string, int) *exec.Cmd {
	return exec.Command("node", absolute("testdata/server.mjs"))
}

// goApp is e2e/app, with net/http and a websocket.
func goApp(s *realApps, _ string, _ int) *exec.Cmd {
	return exec.Command(filepath.Join(s.dir, "app"))
}

func absolute(name string) string {
	path, err := filepath.Abs(name)
	if err != nil {
		return name
	}
	return path
}
