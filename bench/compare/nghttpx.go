package main

import (
	"fmt"
	"strconv"
	"strings"

	"github.com/sluice-proxy/sluice/bench/internal/load"
	"github.com/sluice-proxy/sluice/bench/internal/process"
)

// startNghttpx starts nghttpx without its timeouts, which would end requests that wait and idle connections.
func startNghttpx(s *site, j job) (*stand, error) {
	port, err := process.FreePort()
	if err != nil {
		return nil, err
	}
	proto := "http/1.1"
	if j.app == load.HTTP2 {
		proto = "h2"
	}
	_, upstreamPort, _ := strings.Cut(j.upstream, ":")
	args := []string{
		"--conf=/dev/null", "--errorlog-file=/dev/stderr", "--log-level=ERROR", "--workers=1", "--rlimit-nofile=" + strconv.Itoa(s.files-100),
		fmt.Sprintf("--frontend=127.0.0.1,%d;no-tls", port), fmt.Sprintf("--backend=127.0.0.1,%s;;proto=%s", upstreamPort, proto),
		"--add-x-forwarded-for", "--backlog=4096",
	}
	for _, timeout := range []string{
		"frontend-http2-read", "frontend-read", "frontend-write", "frontend-keep-alive", "backend-read", "backend-write", "backend-keep-alive",
	} {
		args = append(args, "--"+timeout+"-timeout=1h")
	}
	return s.serveOn(port, process.Command{Name: "nghttpx", Path: s.programs["nghttpx"], Args: args, Dir: j.dir})
}
