package proxy

import (
	"context"
	"io"
	"net"
	"testing"
	"time"
)

// What a client sends behind an early answer is read for longer than a Shutdown or a Close waits.
func TestF13LingeringEndsWithTheEngine(t *testing.T) {
	t.Parallel()
	for name, end := range map[string]func(*Engine) error{
		"shutdown": func(e *Engine) error {
			ctx, cancel := context.WithTimeout(t.Context(), lingerMost*2/3)
			defer cancel()
			return e.Shutdown(ctx)
		},
		"close": func(e *Engine) error {
			begin := time.Now()
			e.Close()
			if d := time.Since(begin); d > lingerMost*2/3 {
				t.Errorf("that took %v", d)
			}
			return nil
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			e, addr := sleeper(t, nil)
			c, err := net.Dial("tcp", addr)
			if err != nil {
				t.Fatal(err)
			}
			if _, err := io.WriteString(c, "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 1000000000000\r\n\r\n"); err != nil {
				t.Fatal(err)
			}
			sent := make(chan bool)
			go func() {
				defer close(sent)
				for more := make([]byte, 1000); ; time.Sleep(time.Millisecond) { // for as long as it is read
					if _, err := c.Write(more); err != nil {
						return
					}
				}
			}()
			if b, err := io.ReadAll(c); err != nil || len(b) == 0 {
				t.Errorf("%q, %v", b, err)
			}
			if err := end(e); err != nil {
				t.Error(err)
			}
			c.Close()
			<-sent
		})
	}
}
