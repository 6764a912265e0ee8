package e2e

import (
	"os/exec"
	"testing"
)

// Long streams pass through both binaries: gRPC with grpc-go at both ends, websockets and server-sent events.
func TestRealStreams(t *testing.T) {
	t.Parallel()
	rpc := server{name: "grpc", protocol: "h2c", command: func(s *realApps, dir string, port int) *exec.Cmd {
		cmd := goApp(s, dir, port)
		cmd.Env = []string{"APP_GRPC=1"}
		return cmd
	}}
	s := newRealApps(t, rpc, server{name: "go", command: goApp})
	for _, d := range s.routesTo(s.servers[0], true) {
		t.Run("gRPC/"+d.name, func(t *testing.T) { callEverything(t, d.addr, d.host) })
	}
	const events = "/sse?n=6&every=150ms"
	for _, d := range s.routesTo(s.servers[1], false) {
		t.Run("websocket/"+d.name, func(t *testing.T) { messagesEchoed(t, clientOf(t, d.addr, 1), d.url("/ws")) })
		t.Run("websocket over HTTP/2/"+d.name, func(t *testing.T) {
			if got := program(t, "node", absolute("testdata/websocket.mjs"), d.addr, d.host); got != "echoed\n" {
				t.Error(got)
			}
		})
		for name, clientOf := range loadClients {
			t.Run("events/"+d.name+"/"+name, func(t *testing.T) { eventsComeOneByOne(t, clientOf(t, d.addr), d.url(events)) })
		}
		t.Run("events/"+d.name+"/curl", func(t *testing.T) {
			needs(t, "curl")
			var late error
			for range 3 { // the machine may stall
				if late = curlEvents(t, d, events); late == nil {
					return
				}
			}
			t.Error(late)
		})
	}
}

func curlEvents(t *testing.T, d route, path string) error {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), "curl", "-sSN", "--noproxy", "*", "--connect-to", "::"+d.addr, d.url(path))
	out, err := cmd.StdoutPipe()
	if err == nil {
		err = cmd.Start()
	}
	if err != nil {
		t.Fatal(err)
	}
	late := oneByOne(out)
	if err := cmd.Wait(); err != nil && late == nil {
		return err
	}
	return late
}
