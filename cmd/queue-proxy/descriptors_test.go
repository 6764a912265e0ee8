package main

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os/exec"
	"testing"
	"time"
)

// Clients that open more connections than the process may have descriptors leave it enough of these to accept other clients
// and to connect to the app.
func TestF8IdleConnectionsLeaveDescriptors(t *testing.T) {
	app := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "ok") }))
	defer app.Close()
	_, appPort, _ := net.SplitHostPort(app.Listener.Addr().String())
	ports := freePorts(t, 3)
	_, out := launch(t, exec.Command("/bin/sh", "-c", "ulimit -n 200; exec "+binary), environment(appPort, ports))
	awaitReady(t, ports[0], out)
	for i := range 300 {
		d := net.Dialer{LocalAddr: &net.TCPAddr{IP: net.IPv4(127, 0, 0, byte(2+i%20))}}
		c, err := d.Dial("tcp", "127.0.0.1:"+ports[0])
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		_ = c.SetDeadline(time.Now().Add(time.Minute))
		if _, err := fmt.Fprint(c, "GET / HTTP/1.1\r\nHost: x\r\n\r\n"); err != nil {
			t.Fatal(err)
		}
		resp, err := http.ReadResponse(bufio.NewReader(c), nil)
		if err != nil {
			t.Fatalf("connection %d: %v\n%s", i, err, out)
		}
		if _, err := io.Copy(io.Discard, resp.Body); err != nil || resp.StatusCode != 200 {
			t.Fatalf("connection %d: %d, %v\n%s", i, resp.StatusCode, err, out)
		}
	}
	if status, body, err := get(t, ports[0], "/"); status != 200 || err != nil {
		t.Errorf("another client: %d %s, %v", status, body, err)
	}
}
