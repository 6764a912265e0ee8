package main

import (
	"fmt"
	"os"
	"path/filepath"

	"github.com/sluice-proxy/sluice/bench/internal/load"
	"github.com/sluice-proxy/sluice/bench/internal/process"
)

const haproxyConfig = `global
	nbthread 1
	maxconn %[1]d
defaults
	mode http
	timeout connect 5s
	timeout client 1h
	timeout server 1h
	timeout queue 1h
	timeout http-keep-alive 1h
	option forwardfor
	http-reuse always
frontend clients
	bind %[2]s%[6]s backlog 4096
	default_backend app
backend app
	server app %[4]s%[3]s maxconn %[5]d
`

func startHaproxy(s *site, j job) (*stand, error) {
	port, err := process.FreePort()
	if err != nil {
		return nil, err
	}
	proto := map[bool]string{true: " proto h2"}
	file := filepath.Join(j.dir, "haproxy.cfg")
	text := fmt.Sprintf(haproxyConfig, s.files/2-100, local(port), proto[j.app == load.HTTP2], j.upstream, j.limit, proto[j.protocol != load.HTTP1]) // a connection needs two files
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		return nil, err
	}
	return s.serveOn(port, process.Command{
		Name: "haproxy", Path: s.programs["haproxy"], Args: []string{"-db", "-q", "-f", file}, Dir: j.dir,
	})
}
