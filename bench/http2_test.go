package bench

import (
	"bytes"
	"io"
	"net/http"
	"strconv"
	"testing"

	"github.com/sluice-proxy/sluice/proxy"
)

// http2Conns is the number of connections of HTTP/2, which share the streams.
const http2Conns = 4

// backendHTTP2 is net/http's, whose cost "direct" shows.
func (l load) backendHTTP2(b *testing.B) (addr string) {
	answer := make([]byte, l.down)
	return run(b, proxy.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body)
		w.Header()["Content-Length"] = []string{strconv.Itoa(len(answer))}
		_, _ = w.Write(answer)
	}), proxy.ServerConfig{}))
}

func (l load) clientsHTTP2(addr string, all []client) {
	var transports [http2Conns]*http.Transport
	for i := range transports {
		transports[i] = transport(true)
	}
	body := make([]byte, l.up)
	for i := range all {
		all[i] = &http2Client{transports[i%http2Conns], "http://" + addr + "/some/path", body, l.down}
	}
}

// transport uses HTTP/1.1, or HTTP/2 with prior knowledge.
func transport(h2c bool) *http.Transport {
	tr := &http.Transport{MaxIdleConnsPerHost: 2 * conns, DisableCompression: true, Protocols: new(http.Protocols)}
	tr.Protocols.SetHTTP1(!h2c)
	tr.Protocols.SetUnencryptedHTTP2(h2c)
	return tr
}

// http2Client sends one request after the other.
type http2Client struct {
	tr   *http.Transport
	url  string
	body []byte
	down int
}

func (c *http2Client) do() error {
	method, body := http.MethodGet, io.Reader(nil)
	if len(c.body) > 0 {
		method, body = http.MethodPost, bytes.NewReader(c.body)
	}
	r, err := http.NewRequest(method, c.url, body)
	if err != nil {
		return err
	}
	r.Host = host
	resp, err := c.tr.RoundTrip(r)
	if err != nil {
		return err
	}
	defer func() { _ = resp.Body.Close() }()
	n, err := io.Copy(io.Discard, resp.Body)
	if err == nil && (resp.StatusCode != http.StatusOK || n != int64(c.down)) {
		return errStatus
	}
	return err
}

func (c *http2Client) close() { c.tr.CloseIdleConnections() }
