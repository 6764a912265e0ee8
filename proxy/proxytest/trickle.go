package proxytest

import (
	"io"
	"net/http"
	"strconv"
	"time"

	"github.com/sluice-proxy/sluice/proxy"
)

// trickle is a large body of known length that comes in small pieces for longer than the idle timeout, then the rest at once.
type trickle struct {
	io.Reader
	pieces int
	every  time.Duration
}

const (
	trickleSize  = 2 << 20
	tricklePiece = 8 << 10
)

func (t *trickle) Read(p []byte) (int, error) {
	if t.pieces > 0 {
		t.pieces--
		time.Sleep(t.every)
		p = p[:min(len(p), tricklePiece)]
	}
	return t.Reader.Read(p)
}

// trickling: the pieces of a large body count as activity however small they are, in both directions.
func trickling(r *rig) {
	const idle = 25 * short
	body := func() io.Reader { return &trickle{limited(trickleSize), 30, idle / 20} }
	app := r.app(func(w http.ResponseWriter, req *http.Request) {
		if req.Method == "POST" {
			if n, ok := same(req.Body, trickleSize); n != trickleSize || !ok {
				r.Errorf("%d bytes came up, as they are: %v", n, ok)
			}
			return
		}
		w.Header().Set("Content-Length", strconv.Itoa(trickleSize))
		_ = http.NewResponseController(w).Flush()
		buf, src := make([]byte, copySize), body()
		for {
			n, err := src.Read(buf)
			if _, werr := w.Write(buf[:n]); err != nil || werr != nil {
				return
			}
			_ = http.NewResponseController(w).Flush()
		}
	})
	atOnce(both, func(proto proxy.Proto) {
		p := to(proxy.Upstream{Addr: app, Timeouts: proxy.Timeouts{Idle: idle}})
		addr, c := r.proxy(p, proxy.Config{}), r.client(proto)
		atOnce([]string{"GET", "POST"}, func(method string) {
			req := r.request(method, r.path.scheme()+"://"+addr, nil)
			if method == "POST" {
				req.Body, req.ContentLength = io.NopCloser(body()), trickleSize
			}
			resp, err := c.Do(req)
			if err != nil {
				r.Errorf("%s: %v", method, err)
				return
			}
			defer resp.Body.Close()
			if n, ok := same(resp.Body, trickleSize); method == "GET" && (n != trickleSize || !ok) {
				r.Errorf("%d bytes came down, as they are: %v", n, ok)
			}
		})
		for range 2 {
			if res := take(r, "the result", p.results); res.Reason != proxy.ReasonNone || res.BytesIn+res.BytesOut != trickleSize {
				r.Errorf("%+v", res)
			}
		}
	})
}

const copySize = 32 << 10
