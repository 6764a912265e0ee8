package e2e

import (
	"bytes"
	"io"
	"net"
	"sync"
	"testing"
	"time"

	"golang.org/x/net/http2"
	"golang.org/x/net/http2/hpack"
)

// Apps that do what no server should: each request gets an answer, 502 or 504, and the proxy's memory stays as it is.
func TestAttackByApp(t *testing.T) {
	needProc(t)
	for name, v := range map[string]struct {
		settings []http2.Setting
		request  func(f *http2.Framer, id uint32) error
	}{
		"1xx": {nil, func(f *http2.Framer, id uint32) error {
			return f.WriteHeaders(http2.HeadersFrameParam{StreamID: id, BlockFragment: status("103"), EndHeaders: true})
		}},
		"GOAWAY": {nil, func(f *http2.Framer, _ uint32) error { return f.WriteGoAway(0, http2.ErrCodeNo, nil) }},
		"PUSH_PROMISE": {nil, func(f *http2.Framer, id uint32) error {
			return f.WritePushPromise(http2.PushPromiseParam{StreamID: id, PromiseID: 2, BlockFragment: status("200"), EndHeaders: true})
		}},
		"no streams": {[]http2.Setting{{ID: http2.SettingMaxConcurrentStreams, Val: 0}}, func(*http2.Framer, uint32) error { return io.EOF }},
	} {
		t.Run(name, func(t *testing.T) {
			c := &cluster{t: t, dir: t.TempDir()}
			link(t, c.dir, "queue-proxy")
			p := c.pod("one", "REVISION_TIMEOUT_SECONDS=2")
			l, err := net.Listen("tcp", "127.0.0.1:"+itoa(p.appPort))
			if err != nil {
				t.Fatal(err)
			}
			var all sync.WaitGroup
			all.Go(func() {
				for {
					conn, err := l.Accept()
					if err != nil {
						return
					}
					all.Go(func() { evil(conn, v.settings, v.request) })
				}
			})
			defer all.Wait()
			defer l.Close()
			client := h2cClientOf(t, p.addr)
			defer client.CloseIdleConnections()
			before := anonymous(p.qp.pid())
			began := time.Now()
			for _, a := range burst(20, func(int) answer { return get(client, "http://rev.default.svc.cluster.local/") }) {
				if a.status != 502 && a.status != 503 && a.status != 504 {
					t.Error(a)
				}
			}
			grown := anonymous(p.qp.pid()) - before
			t.Logf("%v, memory grew by %d KiB", time.Since(began), grown>>10)
			if grown > 16<<20 && !raceEnabled {
				t.Errorf("memory grew by %d MiB", grown>>20)
			}
			_ = p.qp.cmd.Process.Kill()
			p.qp.wait()
		})
	}
}

func status(code string) []byte {
	var b bytes.Buffer
	_ = hpack.NewEncoder(&b).WriteField(hpack.HeaderField{Name: ":status", Value: code})
	return b.Bytes()
}

// evil answers each request with a thousand times the same.
func evil(conn net.Conn, settings []http2.Setting, request func(f *http2.Framer, id uint32) error) {
	defer conn.Close()
	preface := make([]byte, len(http2.ClientPreface))
	if _, err := io.ReadFull(conn, preface); err != nil {
		return
	}
	f := http2.NewFramer(conn, conn)
	_ = f.WriteSettings(settings...)
	for {
		x, err := f.ReadFrame()
		if err != nil {
			return
		}
		for range 1000 {
			if _, ok := x.(*http2.HeadersFrame); ok && request(f, x.Header().StreamID) != nil {
				return
			}
		}
	}
}
