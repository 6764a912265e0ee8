package main

import (
	"fmt"
	"os"
	"path/filepath"

	"github.com/sluice-proxy/sluice/bench/internal/load"
	"github.com/sluice-proxy/sluice/bench/internal/origin"
	"github.com/sluice-proxy/sluice/bench/internal/process"
)

// nginxConfig configures nginx by its manual for kept connections to an app, and like a sidecar: bodies are streamed without
// files, and connections end neither after a number of requests nor after a time.
const nginxConfig = `%[1]s
daemon off;
worker_processes 1;
worker_rlimit_nofile %[2]d;
pid %[3]s/nginx.pid;
error_log stderr error;
events { worker_connections %[2]d; }
http {
	access_log off;
	client_body_temp_path %[3]s/client; proxy_temp_path %[3]s/proxy; fastcgi_temp_path %[3]s/fastcgi;
	uwsgi_temp_path %[3]s/uwsgi; scgi_temp_path %[3]s/scgi;
	keepalive_requests 1000000000;
	keepalive_timeout 1h;
	client_max_body_size 0;
	%[4]s
}
`

const nginxApp = `server { listen %s backlog=4096; location / { default_type text/plain; return 200 "` + origin.Hello + `"; } }`

const nginxProxy = `upstream app {
		server %[2]s;
		keepalive 1000;
		keepalive_requests 1000000000;
		keepalive_timeout 1h;
	}
	server {
		listen %[1]s;
		location / {
			%[3]s_pass %[5]s://app;
			%[3]s_set_header Host $host;
			%[3]s_set_header X-Forwarded-For $proxy_add_x_forwarded_for;
			%[3]s_read_timeout 1h;
			%[4]s
		}
	}`

const nginxHTTP = `proxy_http_version 1.1;
			proxy_set_header Connection "";
			proxy_request_buffering off;
			proxy_max_temp_file_size 0;`

// startNginx starts the app of small answers when there is no upstream.
func startNginx(s *site, j job) (*stand, error) {
	port, err := process.FreePort()
	if err != nil {
		return nil, err
	}
	addr := local(port)
	server := fmt.Sprintf(nginxApp, addr)
	switch {
	case j.upstream == "":
	case j.protocol == load.GRPC:
		server = fmt.Sprintf(nginxProxy, addr+" http2 backlog=4096", j.upstream, "grpc", "", "grpc")
	case j.protocol == load.HTTP2:
		server = fmt.Sprintf(nginxProxy, addr+" http2 backlog=4096", j.upstream, "proxy", nginxHTTP, "http")
	default:
		server = fmt.Sprintf(nginxProxy, addr+" backlog=4096", j.upstream, "proxy", nginxHTTP, "http")
	}
	user := ""
	if os.Geteuid() == 0 {
		user = "user root;" // only root may use the directories
	}
	dir, err := os.MkdirTemp(j.dir, "nginx")
	if err != nil {
		return nil, err
	}
	file := filepath.Join(dir, "nginx.conf")
	text := fmt.Sprintf(nginxConfig, user, s.files-100, dir, server)
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		return nil, err
	}
	return s.serveOn(port, process.Command{
		Name: "nginx", Path: s.programs["nginx"], Args: []string{"-e", "stderr", "-c", file}, Dir: dir,
	})
}
