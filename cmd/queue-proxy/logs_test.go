package main

import (
	"bufio"
	"encoding/json"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"
)

// When an app answers HEAD with a body, net/http's client logs that. It becomes an ordinary line of the log, at a bounded
// rate, and contains nothing that the app sent.
func TestC7WhatNetHTTPSaysOfAnAppIsALineOfTheLog(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			go func() {
				defer c.Close()
				for in := bufio.NewReader(c); ; {
					req, err := http.ReadRequest(in)
					if err != nil || req.Method == "PRI" { // this app has no HTTP/2
						return
					}
					if _, err := io.WriteString(c, "HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\nsecret"); err != nil {
						return
					}
				}
			}()
		}
	}()
	_, appPort, _ := net.SplitHostPort(l.Addr().String())
	ports := freePorts(t, 3)
	_, out := start(t, environment(appPort, ports))
	awaitReady(t, ports[0], out)
	var two http.Protocols
	two.SetUnencryptedHTTP2(true) // for HTTP/1.1 the proxy doesn't use net/http's client
	tr := &http.Transport{Protocols: &two}
	defer tr.CloseIdleConnections()
	client := &http.Client{Transport: tr, Timeout: time.Minute}
	const asked = 50
	said := func() int { return strings.Count(out.String(), "Unsolicited response") }
	for i := 0; i < asked || said() == 0; i++ {
		if i == 100*asked {
			t.Fatalf("nothing is logged\n%s", out)
		}
		resp, err := client.Head("http://127.0.0.1:" + ports[0])
		if err != nil {
			t.Fatal(err)
		}
		resp.Body.Close()
	}
	for line := range strings.Lines(out.String()) {
		var m map[string]any
		if err := json.Unmarshal([]byte(line), &m); err != nil || m["message"] == "" || strings.Contains(line, "secret") {
			t.Errorf("%q: %v", line, err)
		}
	}
	if n := said(); n >= asked/2 {
		t.Errorf("%d lines for %d answers", n, asked)
	}
}
