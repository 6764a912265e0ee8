package logging

import (
	"bufio"
	"io"
	"net"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"go.uber.org/zap"
	"go.uber.org/zap/zaptest/observer"
)

// When an app answers HEAD with a body, net/http's client logs that, also what came. It becomes an ordinary line of the log, at a
// bounded rate, and contains nothing that the app sent.
func TestC7WhatNetHTTPSaysOfAnAppIsALineOfTheLog(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	var conns sync.WaitGroup
	defer conns.Wait()
	defer l.Close()
	conns.Go(func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			conns.Go(func() {
				defer c.Close()
				for in := bufio.NewReader(c); ; {
					if _, err := http.ReadRequest(in); err != nil {
						return
					}
					io.WriteString(c, "HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\nsecret")
				}
			})
		}
	})
	core, seen := observer.New(zap.DebugLevel)
	defer Standard(zap.New(core))()
	tr := new(http.Transport)
	defer tr.CloseIdleConnections()
	client := &http.Client{Transport: tr, Timeout: time.Minute}
	const asked = 50
	for i := 0; i < asked || seen.Len() == 0; i++ {
		if i == 100*asked {
			t.Fatal("nothing is logged")
		}
		resp, err := client.Head("http://" + l.Addr().String())
		if err != nil {
			continue // the client has taken the last bytes for the beginning of this response
		}
		resp.Body.Close()
	}
	lines := seen.All()
	for _, line := range lines {
		if line.Level != zap.InfoLevel || !strings.Contains(line.Message, "Unsolicited response") || strings.Contains(line.Message, "secret") {
			t.Errorf("%+v", line)
		}
	}
	if len(lines) >= asked/2 {
		t.Errorf("%d lines for %d answers", len(lines), asked)
	}
}
