package e2e

import (
	"bytes"
	"encoding/json"
	"io"
	"net"
	"net/http"
	"slices"
	"sync"
	"testing"
	"time"

	"golang.org/x/net/http2"
	"golang.org/x/net/http2/hpack"
)

// attacker is a client of HTTP/2 that does what no client should. Frames gather until send.
type attacker struct {
	t    testing.TB
	conn net.Conn
	out  bytes.Buffer
	fr   *http2.Framer
	text bytes.Buffer
	enc  *hpack.Encoder

	mu  sync.Mutex
	got got
}

// got is what has come.
type got struct {
	goAways  []goAway
	resets   map[uint32]http2.ErrCode
	statuses map[uint32]string
	ended    map[uint32]bool
	settings bool
	pings    [][8]byte // that wait for an acknowledgement
	closed   bool
}

type goAway struct {
	last uint32
	code http2.ErrCode
}

// attack connects; it reads what comes if reads.
func attack(t testing.TB, addr string, reads bool, settings ...http2.Setting) *attacker {
	t.Helper()
	conn, err := net.Dial("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	a := &attacker{t: t, conn: conn, got: got{resets: map[uint32]http2.ErrCode{}, statuses: map[uint32]string{}, ended: map[uint32]bool{}}}
	a.enc = hpack.NewEncoder(&a.text)
	a.fr = http2.NewFramer(&a.out, conn)
	a.out.WriteString(http2.ClientPreface)
	_ = a.fr.WriteSettings(settings...)
	a.send()
	done := make(chan struct{})
	if reads {
		go a.read(done)
	} else {
		close(done)
	}
	t.Cleanup(func() { _ = conn.Close(); <-done })
	return a
}

// send sends what has gathered; false: the connection has ended.
func (a *attacker) send() bool {
	_ = a.conn.SetWriteDeadline(time.Now().Add(2 * time.Second))
	_, err := a.conn.Write(a.out.Bytes())
	a.out.Reset()
	return err == nil
}

func (a *attacker) read(done chan struct{}) {
	defer close(done)
	dec := hpack.NewDecoder(4096, nil)
	fr := http2.NewFramer(io.Discard, a.conn)
	for {
		f, err := fr.ReadFrame()
		a.mu.Lock()
		if err != nil {
			a.got.closed = true
			a.mu.Unlock()
			return
		}
		id := f.Header().StreamID
		switch f := f.(type) {
		case *http2.GoAwayFrame:
			a.got.goAways = append(a.got.goAways, goAway{f.LastStreamID, f.ErrCode})
		case *http2.RSTStreamFrame:
			a.got.resets[id] = f.ErrCode
		case *http2.PingFrame:
			if !f.IsAck() {
				a.got.pings = append(a.got.pings, f.Data)
			}
		case *http2.SettingsFrame:
			a.got.settings = true
		case *http2.HeadersFrame:
			fields, _ := dec.DecodeFull(f.HeaderBlockFragment())
			for _, x := range fields {
				if x.Name == ":status" {
					a.got.statuses[id] = x.Value
				}
			}
			a.got.ended[id] = f.StreamEnded()
		case *http2.DataFrame:
			a.got.ended[id] = f.StreamEnded()
		}
		a.mu.Unlock()
	}
}

// has waits until what has come is so.
func (a *attacker) has(what string, so func(*got) bool) {
	a.t.Helper()
	eventually(a.t, what, func() bool {
		a.mu.Lock()
		defer a.mu.Unlock()
		return so(&a.got)
	})
}

// calmed waits for GOAWAY with a code, behind which the connection is closed.
func (a *attacker) calmed(code http2.ErrCode) {
	a.t.Helper()
	a.has("GOAWAY "+code.String()+" and the connection's end", func(g *got) bool {
		return g.closed
	})
	if n := len(a.got.goAways); n == 0 || a.got.goAways[n-1].code != code {
		a.t.Errorf("GOAWAYs %v, want %v", a.got.goAways, code)
	}
}

// head is an encoded head of a request with more fields.
func (a *attacker) head(method, path string, more ...string) []byte {
	a.text.Reset()
	all := append([]string{":method", method, ":scheme", "http", ":authority", "rev.default.svc.cluster.local", ":path", path}, more...)
	for x := range slices.Chunk(all, 2) {
		_ = a.enc.WriteField(hpack.HeaderField{Name: x[0], Value: x[1]})
	}
	return bytes.Clone(a.text.Bytes())
}

// open begins a request.
func (a *attacker) open(id uint32, block []byte, end bool) {
	const frame = 16 << 10
	first := block[:min(len(block), frame)]
	rest := block[len(first):]
	_ = a.fr.WriteHeaders(http2.HeadersFrameParam{StreamID: id, BlockFragment: first, EndStream: end, EndHeaders: len(rest) == 0})
	for part := range slices.Chunk(rest, frame) {
		rest = rest[len(part):]
		_ = a.fr.WriteContinuation(id, len(rest) == 0, part)
	}
}

// bystander is another client, of both protocols, that asks again and again meanwhile.
type bystander struct {
	t     testing.TB
	stop  chan struct{}
	wg    sync.WaitGroup
	mu    sync.Mutex
	took  []time.Duration
	wrong []string
}

func watchFrom(t testing.TB, addr string) *bystander {
	b := &bystander{t: t, stop: make(chan struct{})}
	for _, client := range []*http.Client{clientOf(t, addr, 1), h2cClientOf(t, addr)} {
		mustGet(t, client, "http://rev.default.svc.cluster.local/")
		b.wg.Go(func() {
			for {
				begin := time.Now()
				a := get(client, "http://rev.default.svc.cluster.local/")
				b.mu.Lock()
				b.took = append(b.took, time.Since(begin))
				if !a.ok() {
					b.wrong = append(b.wrong, a.String())
				}
				b.mu.Unlock()
				select {
				case <-b.stop:
					return
				case <-time.After(5 * time.Millisecond):
				}
			}
		})
	}
	return b
}

// end reports what it saw: no error.
func (b *bystander) end() {
	b.t.Helper()
	close(b.stop)
	b.wg.Wait()
	slices.Sort(b.took)
	b.t.Logf("meanwhile %d requests of others, p50 %v, p99 %v, the longest %v", len(b.took), b.took[len(b.took)/2], b.took[len(b.took)*99/100], b.took[len(b.took)-1])
	if len(b.wrong) > 0 {
		b.t.Errorf("%d of %d requests of others failed: %s", len(b.wrong), len(b.took), b.wrong[0])
	}
}

// victim is a pod under attack.
type victim struct {
	*pod
	t      testing.TB
	others *bystander
	before int64
	stop   chan struct{}
	wg     sync.WaitGroup
	most   int64 // memory
	allows int64 // how much more than before
}

// newVictim starts a queue-proxy with an app, and the others.
func newVictim(t testing.TB, appEnv, env []string) *victim {
	t.Helper()
	needProc(t)
	c := &cluster{t: t, dir: t.TempDir()}
	for _, name := range []string{"app", "queue-proxy"} {
		link(t, c.dir, name)
	}
	v := &victim{pod: c.pod("one", env...), t: t, stop: make(chan struct{}), allows: 16 << 20}
	v.startApp(c, appEnv...)
	client := clientOf(t, v.addr, 1)
	eventually(t, "the pod serves", func() bool { return get(client, "http://rev.default.svc.cluster.local/").ok() })
	v.others = watchFrom(t, v.addr)
	time.Sleep(100 * time.Millisecond) // what these need isn't the attacker's
	v.before = anonymous(v.qp.pid())
	v.wg.Go(func() {
		for {
			v.most = max(v.most, anonymous(v.qp.pid()))
			select {
			case <-v.stop:
				return
			case <-time.After(5 * time.Millisecond):
			}
		}
	})
	return v
}

// end ends the watch: memory has been flat, and others have seen no error.
func (v *victim) end() {
	v.t.Helper()
	v.others.end()
	close(v.stop)
	v.wg.Wait()
	grown := v.most - v.before
	v.t.Logf("memory %d KiB, and %d more at most", v.before>>10, grown>>10)
	if grown > v.allows && !raceEnabled {
		v.t.Errorf("memory grew by %d MiB, want %d at most", grown>>20, v.allows>>20)
	}
}

// handlers is the largest number of the app's handlers at once.
func (v *victim) handlers() int {
	v.t.Helper()
	a := get(clientOf(v.t, "127.0.0.1:"+itoa(v.appPort), 1), "http://app/stats")
	var s struct{ Max int }
	if err := json.Unmarshal([]byte(a.body), &s); err != nil {
		v.t.Fatal(a, err)
	}
	return s.Max
}
