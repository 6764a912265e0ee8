package load

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"slices"
	"strings"
	"sync"
	"time"

	"golang.org/x/net/http2"
	"golang.org/x/net/http2/hpack"
)

// session is a client's end of an HTTP/2 connection with prior knowledge. It costs much less than net/http's.
type session struct {
	conn   net.Conn
	in     *bufio.Reader
	handle func(*session, *stream) error // gets each stream whose response goes on or ends; called with mu held
	ended  chan struct{}                 // closed when nothing reads any more

	mu      sync.Mutex // guards all below; of framer only the writing half
	out     *bufio.Writer
	framer  *http2.Framer
	fields  *hpack.Encoder
	block   bytes.Buffer // what fields writes to
	next    uint32       // the next stream
	streams map[uint32]*stream
	window  int64     // bytes that may be sent on the connection
	initial int64     // the window of a new stream
	blocked []*stream // have a message that no window is left for
	taken   uint32    // received bytes not given back as window
	err     error
	idle    chan struct{} // closed when no stream is left, or after an error; nil while nobody waits
}

// stream is a request without its whole response.
type stream struct {
	id      uint32
	status  string
	grpc    string // grpc-status, from the trailers
	body    []byte // what handle has left of the body
	ended   bool
	window  int64
	taken   uint32
	unsent  []byte
	sent    time.Time // the last message
	closing bool      // END_STREAM was sent
}

// defaultWindow is the initial window of a connection and of streams (RFC 9113 §6.9.2).
const defaultWindow = 65535

// openSession connects to addr. Close ends the session and its goroutine.
func openSession(ctx context.Context, addr string, handle func(*session, *stream) error) (*session, error) {
	var d net.Dialer
	conn, err := d.DialContext(ctx, "tcp", addr)
	if err != nil {
		return nil, err
	}
	s := &session{
		conn: conn, in: bufio.NewReaderSize(conn, 4<<10), out: bufio.NewWriterSize(conn, 4<<10), handle: handle, ended: make(chan struct{}),
		next: 1, streams: map[uint32]*stream{}, window: defaultWindow, initial: defaultWindow,
	}
	s.framer = http2.NewFramer(s.out, s.in)
	s.framer.ReadMetaHeaders = hpack.NewDecoder(4096, nil) // RFC 7541: the default size of the table
	s.fields = hpack.NewEncoder(&s.block)
	_, err1 := s.out.WriteString(http2.ClientPreface)
	err2 := s.framer.WriteSettings(http2.Setting{ID: http2.SettingEnablePush, Val: 0})
	if err := errors.Join(err1, err2, s.out.Flush()); err != nil {
		_ = conn.Close()
		return nil, err
	}
	go s.read()
	return s, nil
}

func (s *session) close() {
	_ = s.conn.Close()
	<-s.ended
}

// read handles frames until the connection ends.
func (s *session) read() {
	defer close(s.ended)
	for {
		f, err := s.framer.ReadFrame()
		s.mu.Lock()
		if err == nil {
			err = s.frameLocked(f)
		}
		if err == nil && s.in.Buffered() == 0 { // so that the answers to many frames are written at once
			err = s.out.Flush()
		}
		if errors.Is(err, io.EOF) {
			err = errors.New("the connection was closed")
		}
		if err != nil {
			s.err = err
		}
		if s.idle != nil && (s.err != nil || len(s.streams) == 0) {
			close(s.idle)
			s.idle = nil
		}
		s.mu.Unlock()
		if err != nil {
			return
		}
	}
}

func (s *session) frameLocked(f http2.Frame) error {
	switch f := f.(type) {
	case *http2.SettingsFrame:
		return s.settingsLocked(f)
	case *http2.PingFrame:
		if f.IsAck() {
			return nil
		}
		return s.framer.WritePing(true, f.Data)
	case *http2.WindowUpdateFrame:
		return s.grownLocked(f)
	case *http2.GoAwayFrame:
		return fmt.Errorf("GOAWAY with %v: %.80q", f.ErrCode, f.DebugData())
	case *http2.RSTStreamFrame:
		if s.streams[f.StreamID] == nil {
			return nil // its response is there
		}
		return fmt.Errorf("stream %d was reset: %v", f.StreamID, f.ErrCode)
	case *http2.MetaHeadersFrame:
		st := s.streams[f.StreamID]
		if st == nil {
			return fmt.Errorf("HEADERS on stream %d, which isn't open", f.StreamID)
		}
		if v := f.PseudoValue("status"); v != "" {
			st.status = v
		}
		if i := slices.IndexFunc(f.Fields, func(h hpack.HeaderField) bool { return h.Name == "grpc-status" }); i >= 0 {
			st.grpc = f.Fields[i].Value
		}
		return s.arrivedLocked(st, f.StreamEnded())
	case *http2.DataFrame:
		st := s.streams[f.StreamID]
		if st == nil {
			return fmt.Errorf("DATA on stream %d, which isn't open", f.StreamID)
		}
		st.body = append(st.body, f.Data()...)
		if err := s.giveBackLocked(st, f.Length); err != nil {
			return err
		}
		return s.arrivedLocked(st, f.StreamEnded())
	}
	return nil // such as PRIORITY, and what an extension has (RFC 9113 §5.5)
}

func (s *session) settingsLocked(f *http2.SettingsFrame) error {
	if f.IsAck() {
		return nil
	}
	if v, ok := f.Value(http2.SettingInitialWindowSize); ok {
		for _, st := range s.streams {
			st.window += int64(v) - s.initial
		}
		s.initial = int64(v)
	}
	if v, ok := f.Value(http2.SettingHeaderTableSize); ok {
		s.fields.SetMaxDynamicTableSizeLimit(v)
	}
	return errors.Join(s.framer.WriteSettingsAck(), s.unblockLocked())
}

func (s *session) grownLocked(f *http2.WindowUpdateFrame) error {
	if f.StreamID == 0 {
		s.window += int64(f.Increment)
	} else if st := s.streams[f.StreamID]; st != nil {
		st.window += int64(f.Increment)
	}
	return s.unblockLocked()
}

func (s *session) unblockLocked() error {
	blocked := s.blocked
	s.blocked = nil
	for _, st := range blocked {
		if err := s.sendLocked(st, st.unsent); err != nil {
			return err
		}
	}
	return nil
}

// giveBackLocked returns windows when a quarter is used.
func (s *session) giveBackLocked(st *stream, n uint32) error {
	const quarter = defaultWindow / 4
	if s.taken += n; s.taken >= quarter {
		if err := s.framer.WriteWindowUpdate(0, s.taken); err != nil {
			return err
		}
		s.taken = 0
	}
	if st.taken += n; st.taken >= quarter {
		if err := s.framer.WriteWindowUpdate(st.id, st.taken); err != nil {
			return err
		}
		st.taken = 0
	}
	return nil
}

func (s *session) arrivedLocked(st *stream, ended bool) error {
	if st.ended = ended; ended {
		delete(s.streams, st.id)
	}
	return s.handle(s, st)
}

// requestLocked writes the head of a request to the buffer. With more, a body follows.
func (s *session) requestLocked(t Target, method string, more bool) (*stream, error) {
	s.block.Reset()
	field := func(name, value string) { _ = s.fields.WriteField(hpack.HeaderField{Name: name, Value: value}) } // to a bytes.Buffer
	field(":method", method)
	field(":scheme", "http")
	field(":authority", Host)
	field(":path", t.Path)
	for _, line := range t.Header {
		name, value, _ := strings.Cut(line, ": ")
		if name = strings.ToLower(name); name != "connection" { // which HTTP/2 doesn't have (RFC 9113 §8.2.2)
			field(name, value)
		}
	}
	st := &stream{id: s.next, window: s.initial}
	s.streams[st.id] = st
	s.next += 2
	return st, s.framer.WriteHeaders(http2.HeadersFrameParam{StreamID: st.id, BlockFragment: s.block.Bytes(), EndHeaders: true, EndStream: !more})
}

// sendLocked writes a message to the buffer, or as soon as the windows allow all of it. It keeps the message until then.
func (s *session) sendLocked(st *stream, message []byte) error {
	if n := int64(len(message)); s.window < n || st.window < n {
		st.unsent = message
		s.blocked = append(s.blocked, st)
		return nil
	}
	s.window -= int64(len(message))
	st.window -= int64(len(message))
	return s.framer.WriteData(st.id, false, message)
}

// wait waits until all streams have ended, for at most limit.
func (s *session) wait(ctx context.Context, limit time.Duration) error {
	s.mu.Lock()
	if s.err != nil || len(s.streams) == 0 {
		defer s.mu.Unlock()
		return s.err
	}
	if s.idle == nil {
		s.idle = make(chan struct{})
	}
	idle := s.idle
	s.mu.Unlock()
	timeout := time.NewTimer(limit)
	defer timeout.Stop()
	select {
	case <-idle:
	case <-ctx.Done():
		return ctx.Err()
	case <-timeout.C:
		return fmt.Errorf("no answer within %v", limit)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.err
}
