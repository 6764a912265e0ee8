package h2

import (
	"encoding/binary"
	"errors"
	"iter"
	"slices"
	"time"

	"github.com/sluice-proxy/sluice/proxy/internal/h1"
	"github.com/sluice-proxy/sluice/proxy/internal/hpack"
)

// Conn is our end of a connection. It must not be copied after Init.
type Conn struct {
	cfg     Config
	handler Handler
	out     *[]byte
	err     *Error

	decoder hpack.Decoder
	encoder hpack.Encoder

	preface int     // bytes of the client's that are still to come
	payload payload // of the DATA frame that is being passed on
	block   block   // the header block that is being gathered
	peer    settings
	acked   bool // our SETTINGS

	streams streams
	writers writers
	wake    bool    // writers may go on
	ended   *Stream // linked by next: they are spare with the next call from outside
	closed  closed
	highest uint32 // id of the latest stream
	gapless uint32 // all ids up to this one have been used

	sendWindow, receiveWindow, owed int32 // of the connection, as those of Stream

	shutdown shutdown
	taken    uint32 // the last stream that a GOAWAY of ours has said to be processed
	gone     bool   // a server has sent GOAWAY

	resets, chores budget
	acks           int // bytes of those in the output

	spare *Spare
}

// payload is what is still to come of a DATA frame.
type payload struct {
	stream        *Stream // nil when nobody wants it
	data, padding int
	end           bool
}

// block is a header block that isn't complete: CONTINUATION has to follow.
type block struct {
	stream     uint32 // 0: there is none
	end        bool   // END_STREAM
	selfish    bool   // depends on itself
	frames     int
	compressed []byte
}

// shutdown is how far a server's Shutdown has come.
type shutdown uint8

const (
	serving   shutdown = iota
	announced          // GOAWAY without a last stream, and a PING
	final              // GOAWAY with it: what is opened later is ignored
)

// shutdownPing is the payload of the PING that tells when the client knows of the shutdown.
const shutdownPing = "shutdown"

// Init starts a connection: it queues SETTINGS, a client's behind the preface.
func (c *Conn) Init(cfg Config, h Handler, out *[]byte) {
	cfg.ConnWindow = max(cfg.ConnWindow, initialWindow)
	*c = Conn{
		cfg: cfg, handler: h, out: out, spare: cfg.Spare,
		peer:       settings{table: initialTable, window: initialWindow, streams: initialStreams},
		sendWindow: initialWindow, receiveWindow: initialWindow,
	}
	if c.spare == nil {
		c.spare = new(Spare)
	}
	c.decoder.Init(initialTable, cfg.Intern)
	now := time.Time{}
	if cfg.Now != nil {
		now = cfg.Now()
	}
	c.resets.init(maxResets, now)
	c.chores.init(maxChores, now)
	if cfg.Client {
		*out = append(*out, Preface...)
		c.encoder.UseTable()
	} else {
		c.preface = len(Preface)
	}
	*out = cfg.appendSettings(*out)
	if grown := cfg.ConnWindow - initialWindow; grown > 0 {
		*out = appendWord(*out, frameWindow, 0, uint32(grown))
		c.receiveWindow += grown
	}
}

// Input takes what the peer has sent, and returns how many bytes of p are done with: whole frames, of DATA also parts. The caller
// gives the rest again, with more behind it. An error is an *Error: the connection is broken. The GOAWAY that says why is queued;
// the caller sends it, closes the connection and calls Abandon.
func (c *Conn) Input(p []byte) (n int, err error) {
	c.recycle()
	for c.err == nil && !c.Blocked() {
		k := c.take(p[n:])
		if k == 0 {
			break
		}
		n += k
	}
	if c.wake {
		c.wake = false
		c.write()
	}
	if c.err != nil {
		return len(p), c.err
	}
	return n, nil
}

// Blocked reports whether Input takes nothing until output has been sent: the peer doesn't read the answers and acknowledgements
// that its frames demand. There are MaxOut bytes of output at least then; when they have been sent, Drained and Input are due. A
// client reads on whatever waits, so that no two ends wait for each other, but for a server that only has it acknowledge.
func (c *Conn) Blocked() bool {
	if c.cfg.Client {
		return c.acks >= c.cfg.MaxOut && len(*c.out) >= c.cfg.MaxOut
	}
	return len(*c.out) >= 2*c.cfg.MaxOut
}

// Drained says that output has been sent. Streams that wait to write get their turns. It is due whenever there were MaxOut bytes
// of it and they have been sent.
func (c *Conn) Drained() {
	c.recycle()
	c.write()
}

// Unfinished reports whether there is something that has to come before long: the preface, the first SETTINGS, or the rest of a
// header block (beside what the caller has been left with).
func (c *Conn) Unfinished() bool { return !c.peer.known || c.block.stream != 0 }

// Partial is how many bytes there are of a header block that isn't complete.
func (c *Conn) Partial() int { return cap(c.block.compressed) }

// All ranges over the streams that are open. They may end meanwhile.
func (c *Conn) All() iter.Seq[*Stream] { return slices.Values(slices.Clone([]*Stream(c.streams))) }

// Streams is how many are open.
func (c *Conn) Streams() int { return len(c.streams) }

// CanOpen reports whether a client may open a stream.
func (c *Conn) CanOpen() bool {
	most := c.peer.streams
	if c.cfg.MaxStreams > 0 {
		most = min(most, c.cfg.MaxStreams)
	}
	return c.cfg.Client && c.err == nil && !c.gone && len(c.streams) < int(most) && !c.Spent()
}

// Spent reports whether a client has used up the ids of streams: it needs another connection.
func (c *Conn) Spent() bool { return c.highest >= lastID }

// ExtendedConnect reports whether the server takes extended CONNECT (RFC 8441).
func (c *Conn) ExtendedConnect() bool { return c.peer.connect }

// Open sends a request on a new stream; nil unless CanOpen. Names are lower-cased; fields of the connection and Host are the
// caller's to remove.
func (c *Conn) Open(r *Request, end bool) *Stream {
	if !c.CanOpen() {
		return nil
	}
	id := c.highest + 2
	if c.highest == 0 {
		id = 1
	}
	c.opened(id)
	s := c.add(id)
	s.noContent = r.Method == "HEAD"
	start := c.beginBlock()
	b := c.encoder.AppendField(*c.out, ":method", r.Method, false)
	if r.Scheme != "" {
		b = c.encoder.AppendField(b, ":scheme", r.Scheme, false)
	}
	if r.Authority != "" {
		b = c.encoder.AppendField(b, ":authority", r.Authority, false)
	}
	if r.Path != "" {
		b = c.encoder.AppendField(b, ":path", r.Path, false)
	}
	if r.Protocol != "" {
		b = c.encoder.AppendField(b, ":protocol", r.Protocol, false)
	}
	*c.out = b
	c.writeFields(r.Fields)
	c.endBlock(start, id, end)
	s.headSent, s.localDone = true, end
	return s
}

// Shutdown has a server end without losing a request that is on its way (RFC 9113 §6.8): GOAWAY that leaves out no stream, and,
// when the client has shown that it knows, one that leaves out all that it opens later. Done tells when all have ended.
func (c *Conn) Shutdown() {
	if c.cfg.Client || c.err != nil || c.shutdown != serving {
		return
	}
	c.shutdown = announced
	c.goAway(maxWindow, NoError, "")
	*c.out = append(frame{length: len(shutdownPing), kind: framePing}.appendTo(*c.out), shutdownPing...)
}

// Done reports whether a server's Shutdown has come to its end: the connection may be closed.
func (c *Conn) Done() bool { return c.shutdown == final && len(c.streams) == 0 }

// Close ends the connection with GOAWAY. Input takes nothing from then on. Abandon ends what streams there are.
func (c *Conn) Close(code Code) { c.fail(code, "closed") }

// Abandon says that nothing more will come or go: each stream that is open is Reset with code.
func (c *Conn) Abandon(code Code) {
	if c.err == nil {
		c.err = &Error{code, "abandoned"}
	}
	for n := len(c.streams); n > 0; n = len(c.streams) {
		s := c.streams[n-1]
		c.end(s)
		c.handler.Reset(s, code)
	}
}

// Input: frames.

// take takes one frame at the start of p, or a part of it, and returns its size; 0 when there has to be more of it.
func (c *Conn) take(p []byte) int {
	switch {
	case c.preface > 0:
		return c.takePreface(p)
	case c.payload.data > 0 || c.payload.padding > 0:
		return c.pass(p)
	case len(p) < frameHeader:
		return 0
	}
	f := readFrame(p)
	p = p[frameHeader:]
	switch {
	case f.length > maxFrame:
		return c.fail(FrameSizeError, "frame of more than 16384 bytes")
	case !c.peer.known && (f.kind != frameSettings || f.has(flagAck)):
		return c.fail(ProtocolError, "the first frame is no SETTINGS")
	case c.block.stream != 0 && (f.kind != frameContinuation || f.stream != c.block.stream):
		return c.fail(ProtocolError, "frame within a header block")
	case f.kind == frameData:
		return c.data(f, p)
	case len(p) < f.length:
		return 0
	}
	c.frame(f, p[:f.length])
	return frameHeader + f.length
}

func (c *Conn) takePreface(p []byte) int {
	n := min(len(p), c.preface)
	if at := len(Preface) - c.preface; string(p[:n]) != Preface[at:at+n] {
		return c.fail(ProtocolError, "malformed preface")
	}
	c.preface -= n
	return n
}

func (c *Conn) frame(f frame, p []byte) {
	switch f.kind {
	case frameHeaders:
		c.headers(f, p)
	case frameContinuation:
		c.continuation(f, p)
	case framePriority: // RFC 9113 §5.3.2: deprecated
		switch {
		case f.stream == 0:
			c.fail(ProtocolError, "PRIORITY without a stream")
		case len(p) != 5:
			c.refuse(f.stream, FrameSizeError, "PRIORITY that isn't 5 bytes long")
		case dependsOn(p) == f.stream:
			c.refuse(f.stream, ProtocolError, "stream that depends on itself")
		default:
			c.chore(1)
		}
	case frameReset:
		c.resetByPeer(f, p)
	case frameSettings:
		c.settings(f, p)
	case framePush: // a client announces that it takes none, and to a server there is none
		c.fail(ProtocolError, "PUSH_PROMISE")
	case framePing:
		c.ping(f, p)
	case frameGoAway:
		c.goAwayByPeer(f, p)
	case frameWindow:
		c.window(f, p)
	default:
		c.chore(1) // RFC 9113 §5.5: ignored
	}
}

// data begins a DATA frame (RFC 9113 §6.1), of whose payload p has what has come.
func (c *Conn) data(f frame, p []byte) int {
	used := frameHeader
	d := payload{data: f.length, end: f.has(flagEndStream)}
	switch {
	case f.stream == 0:
		return c.fail(ProtocolError, "DATA without a stream")
	case f.has(flagPadded):
		switch {
		case f.length == 0:
			return c.fail(FrameSizeError, "padded DATA without padding")
		case len(p) == 0:
			return 0
		case int(p[0]) >= f.length:
			return c.fail(ProtocolError, "more padding than DATA")
		}
		used++
		d.padding = int(p[0])
		d.data -= 1 + d.padding
	}
	if c.idle(f.stream) {
		return c.fail(ProtocolError, "DATA on an idle stream")
	}
	if f.length > int(c.receiveWindow) {
		return c.fail(FlowControlError, "more DATA than the connection's window")
	}
	c.receiveWindow -= int32(f.length)
	if c.owed += int32(f.length); c.owed >= c.cfg.ConnWindow/4 {
		*c.out = appendWord(*c.out, frameWindow, 0, uint32(c.owed))
		c.receiveWindow += c.owed
		c.owed = 0
	}
	if d.data < tinyData && !d.end || d.padding > d.data {
		c.chore(1)
	}
	d.stream = c.receiver(f, d.data)
	c.payload = d
	if s := d.stream; s != nil {
		s.receiveWindow -= int32(f.length)
		if s.left >= 0 {
			s.left -= int64(d.data)
		}
		c.chores.earn(d.data / chorePerData)
		s.Credit(f.length - d.data)
		if d.data == 0 && d.end {
			c.received(s, nil, true)
		}
	}
	return used
}

// receiver is the stream that takes a DATA frame with so much content; nil if there is none (any more).
func (c *Conn) receiver(f frame, content int) *Stream {
	s := c.streams.find(f.stream)
	end := f.has(flagEndStream)
	switch {
	case s == nil && c.ignores(f.stream):
		c.chore(1)
	case s == nil:
		c.refuse(f.stream, StreamClosed, "DATA on a closed stream")
	case s.remoteDone:
		c.violated(s, StreamClosed)
	case s.oversized:
		if end {
			s.remoteDone = true
			c.finish(s)
		}
	case c.cfg.Client && !s.headReceived:
		c.violated(s, ProtocolError)
	case f.length > int(s.receiveWindow):
		c.violated(s, FlowControlError)
	case s.left >= 0 && (int64(content) > s.left || end && int64(content) < s.left): // RFC 9113 §8.1.1
		c.violated(s, ProtocolError)
	default:
		return s
	}
	return nil
}

// pass hands on what p has of the DATA frame that has begun.
func (c *Conn) pass(p []byte) int {
	d := &c.payload
	if d.data == 0 {
		n := min(len(p), d.padding)
		d.padding -= n
		return n
	}
	n := min(len(p), d.data)
	d.data -= n
	if d.stream != nil && n > 0 {
		c.received(d.stream, p[:n], d.end && d.data == 0)
	}
	return n
}

func (c *Conn) received(s *Stream, p []byte, end bool) {
	s.remoteDone = end
	c.handler.Data(s, p, end)
	c.finish(s)
}

// headers begins a header block (RFC 9113 §6.2).
func (c *Conn) headers(f frame, p []byte) {
	if f.stream == 0 {
		c.fail(ProtocolError, "HEADERS without a stream")
		return
	}
	padding := 0
	if f.has(flagPadded) {
		if len(p) == 0 {
			c.fail(FrameSizeError, "padded HEADERS without padding")
			return
		}
		padding, p = int(p[0]), p[1:]
	}
	selfish := false
	if f.has(flagPriority) {
		if len(p) < 5 {
			c.fail(FrameSizeError, "HEADERS without their priority")
			return
		}
		selfish, p = dependsOn(p) == f.stream, p[5:]
	}
	if padding > len(p) {
		c.fail(ProtocolError, "more padding than HEADERS")
		return
	}
	p = p[:len(p)-padding]
	b := block{stream: f.stream, end: f.has(flagEndStream), selfish: selfish, compressed: p}
	if f.has(flagEndHeaders) {
		c.head(&b)
		return
	}
	b.compressed = append([]byte(nil), p...)
	c.block = b
}

// continuation goes on with it (RFC 9113 §6.10).
func (c *Conn) continuation(f frame, p []byte) {
	b := &c.block
	b.frames++
	switch {
	case b.stream == 0:
		c.fail(ProtocolError, "CONTINUATION without HEADERS")
		return
	case b.frames > max(maxContinuation, c.cfg.MaxHead/maxFrame+1), len(b.compressed)+len(p) > max(c.cfg.MaxHead, minBlock)+maxFrame:
		c.fail(EnhanceYourCalm, "header block without end")
		return
	}
	b.compressed = append(b.compressed, p...)
	if f.has(flagEndHeaders) {
		whole := *b
		*b = block{}
		c.head(&whole)
	}
}

// head reads a whole header block. It is decoded in any case: the table is the connection's.
func (c *Conn) head(b *block) {
	const pseudoFields = 5 // which MaxFields doesn't count
	f, err := c.decoder.Decode(c.spare.fields[:0], b.compressed, hpack.Limits{Size: c.cfg.MaxHead, Fields: c.cfg.MaxFields + pseudoFields})
	c.spare.fields = f[:0]
	if err == nil && len(f) > c.cfg.MaxFields {
		if regular := countRegular(f); regular > c.cfg.MaxFields {
			err = hpack.ErrTooMany
		}
	}
	over := errors.Is(err, hpack.ErrTooLarge) || errors.Is(err, hpack.ErrTooMany)
	if err != nil && !over {
		c.fail(CompressionError, err.Error())
		return
	}
	if more := expansion(f, len(b.compressed)); more > 0 && !c.chore(more/chorePerData) {
		return
	}
	s := c.streams.find(b.stream)
	switch {
	case s == nil && (c.cfg.Client || b.stream%2 == 0 || b.stream <= c.highest):
		c.headOfNone(b.stream)
	case s == nil:
		c.request(b, f, err)
	case s.remoteDone:
		c.violated(s, StreamClosed)
	case s.oversized:
		s.remoteDone = b.end
		c.finish(s)
	case b.selfish, over:
		c.violated(s, ProtocolError)
	case c.cfg.Client && !s.headReceived:
		c.response(s, f, b.end)
	default:
		c.trailers(s, f, b.end)
	}
}

// expansion is how many bytes of a head stand in its block for less than they may: Huffman codes save less than two thirds, and each
// entry of the tables once is less than freeExpansion. Who names an entry again and again has us copy much for a few bytes.
func expansion(f h1.Fields, compressed int) int {
	size := -freeExpansion - 3*compressed
	for i := range f {
		size += len(f[i].Name) + len(f[i].Value)
	}
	return size
}

func countRegular(f h1.Fields) (n int) {
	for i := range f {
		if f[i].Name == "" || f[i].Name[0] != ':' {
			n++
		}
	}
	return n
}

// headOfNone is a header block for a stream that isn't open and can't be opened.
func (c *Conn) headOfNone(id uint32) {
	switch {
	case !c.idle(id) && c.ignores(id):
		c.chore(1)
	case !c.idle(id) && id <= c.gapless: // it was open once
		c.fail(StreamClosed, "HEADERS on a closed stream")
	default: // RFC 9113 §5.1.1
		c.fail(ProtocolError, "HEADERS on a stream that can't be opened")
	}
}

// request opens a stream of a server.
func (c *Conn) request(b *block, f h1.Fields, over error) {
	c.opened(b.stream)
	if c.shutdown == final {
		c.chore(1)
		return
	}
	if b.stream >= lastID {
		c.Shutdown()
	}
	if len(c.streams) >= int(c.cfg.MaxStreams) {
		c.chore(1)
		c.writeReset(b.stream, RefusedStream) // RFC 9113 §5.1.2
		return
	}
	r := &c.spare.request
	switch {
	case over != nil:
		if !c.costly() {
			return
		}
		s := c.add(b.stream)
		s.oversized, s.remoteDone = true, b.end
		c.handler.Oversized(s, over)
		c.finish(s)
		return
	case b.selfish, r.read(f, c.cfg.Connect) != "", b.end && r.Length > 0:
		c.refuse(b.stream, ProtocolError, "")
		return
	}
	s := c.add(b.stream)
	s.left, s.remoteDone = r.Length, b.end
	c.handler.Request(s, r, b.end)
	c.finish(s)
}

// response reads the head of an answer, or an interim one.
func (c *Conn) response(s *Stream, f h1.Fields, end bool) {
	p, f, wrong := readPseudo(f)
	var rest section
	status := p.statusCode()
	if wrong != "" || p.found != pseudoStatus || status == 0 || rest.read(f, false) != "" {
		c.violated(s, ProtocolError)
		return
	}
	if status < 200 {
		s.interims++
		switch {
		case status == 101, end: // RFC 9113 §8.6, §8.1
			c.violated(s, ProtocolError)
		case s.interims > maxInterim:
			c.violated(s, EnhanceYourCalm)
		case c.chore(1):
			c.handler.Response(s, status, rest.fields, false)
		}
		return
	}
	s.headReceived, s.left = true, rest.length
	if s.noContent || status == 204 || status == 304 { // Content-Length is what it would have been (RFC 9110 §8.6)
		s.left = 0
	}
	if end && s.left > 0 {
		c.violated(s, ProtocolError)
		return
	}
	s.remoteDone = end
	c.handler.Response(s, status, rest.fields, end)
	c.finish(s)
}

func (c *Conn) trailers(s *Stream, f h1.Fields, end bool) {
	var t section
	if !end || s.left > 0 || t.read(f, false) != "" { // RFC 9113 §8.1
		c.violated(s, ProtocolError)
		return
	}
	s.remoteDone = true
	c.handler.Trailers(s, t.fields)
	c.finish(s)
}

// dependsOn is the stream that a priority names (RFC 7540 §6.3).
func dependsOn(p []byte) uint32 { return binary.BigEndian.Uint32(p) &^ (1 << 31) }

func (c *Conn) resetByPeer(f frame, p []byte) {
	switch {
	case len(p) != 4:
		c.fail(FrameSizeError, "RST_STREAM that isn't 4 bytes long")
		return
	case f.stream == 0, c.idle(f.stream):
		c.fail(ProtocolError, "RST_STREAM without a stream")
		return
	}
	s := c.streams.find(f.stream)
	if s == nil {
		c.chore(1)
		return
	}
	early := !s.headSent
	c.end(s)
	c.handler.Reset(s, Code(binary.BigEndian.Uint32(p)))
	if early {
		c.costly()
	}
}

func (c *Conn) settings(f frame, p []byte) {
	switch {
	case f.stream != 0:
		c.fail(ProtocolError, "SETTINGS of a stream")
	case f.has(flagAck) && len(p) > 0, len(p)%6 != 0:
		c.fail(FrameSizeError, "SETTINGS of a wrong length")
	case f.has(flagAck) && c.acked:
		c.fail(ProtocolError, "SETTINGS acknowledged twice")
	case f.has(flagAck):
		c.acked = true
		if smaller := initialWindow - c.cfg.StreamWindow; smaller > 0 {
			for _, s := range c.streams {
				s.receiveWindow -= smaller
			}
		}
	default:
		c.apply(p)
	}
}

// apply takes over the peer's SETTINGS and acknowledges them (RFC 9113 §6.5.3).
func (c *Conn) apply(p []byte) {
	before := c.peer
	c.peer.known = true
	if !before.known {
		c.peer.streams = 1<<32 - 1 // without a word of it there is no bound (RFC 9113 §6.5.2)
	}
	if code, wrong := c.peer.read(p, c.cfg.Client); wrong != "" {
		c.fail(code, wrong)
		return
	}
	if c.peer.table != before.table {
		c.encoder.SetMaxTable(c.peer.table)
	}
	cost := 1
	if grown := int64(c.peer.window) - int64(before.window); grown != 0 { // RFC 9113 §6.9.2
		cost += len(c.streams) / 8
		for _, s := range c.streams {
			if !c.grow(&s.sendWindow, grown) {
				return
			}
			c.resume(s)
		}
	}
	if !c.chore(cost) {
		return
	}
	c.acknowledge(frame{kind: frameSettings, flags: flagAck}, nil)
	if c.cfg.Client && (!before.known || c.peer.streams != before.streams) {
		c.handler.Settings()
	}
}

func (c *Conn) ping(f frame, p []byte) {
	switch {
	case f.stream != 0:
		c.fail(ProtocolError, "PING of a stream")
	case len(p) != 8:
		c.fail(FrameSizeError, "PING that isn't 8 bytes long")
	case !c.chore(1):
	case !f.has(flagAck):
		c.acknowledge(frame{length: 8, kind: framePing, flags: flagAck}, p)
	case c.shutdown == announced && string(p) == shutdownPing:
		c.shutdown = final
		c.goAway(c.highest, NoError, "")
	}
}

// acknowledge writes what a frame of the peer demands.
func (c *Conn) acknowledge(f frame, p []byte) {
	if len(*c.out) == 0 {
		c.acks = 0
	}
	c.acks += frameHeader + len(p)
	*c.out = append(f.appendTo(*c.out), p...)
}

func (c *Conn) goAwayByPeer(f frame, p []byte) {
	switch {
	case f.stream != 0:
		c.fail(ProtocolError, "GOAWAY of a stream")
		return
	case len(p) < 8:
		c.fail(FrameSizeError, "GOAWAY of less than 8 bytes")
		return
	case !c.chore(1) || !c.cfg.Client: // a client takes no pushes any more, of which there are none
		return
	}
	c.gone = true
	last := binary.BigEndian.Uint32(p) &^ (1 << 31)
	for n := len(c.streams); n > 0 && c.streams[n-1].ID > last; n = len(c.streams) {
		s := c.streams[n-1]
		c.end(s)
		c.closed.add(s.ID) // the server may have sent something nonetheless
		c.handler.Reset(s, RefusedStream)
	}
	c.handler.GoAway(last, Code(binary.BigEndian.Uint32(p[4:])))
}

func (c *Conn) window(f frame, p []byte) {
	if len(p) != 4 {
		c.fail(FrameSizeError, "WINDOW_UPDATE that isn't 4 bytes long")
		return
	}
	n := int64(binary.BigEndian.Uint32(p) &^ (1 << 31))
	s := c.streams.find(f.stream)
	switch {
	case !c.chore(1):
	case f.stream == 0 && n == 0:
		c.fail(ProtocolError, "WINDOW_UPDATE of nothing")
	case f.stream == 0:
		c.wake = c.grow(&c.sendWindow, n)
	case c.idle(f.stream):
		c.fail(ProtocolError, "WINDOW_UPDATE on an idle stream")
	case s == nil: // RFC 9113 §5.1: it may have been on its way
	case n == 0:
		c.violated(s, ProtocolError)
	case int64(s.sendWindow)+n > maxWindow:
		c.violated(s, FlowControlError)
	default:
		s.sendWindow += int32(n)
		c.resume(s)
	}
}

// grow adds to a window, which the peer must not have grow beyond 2³¹-1 (RFC 9113 §6.9.1).
func (c *Conn) grow(window *int32, n int64) bool {
	if int64(*window)+n > maxWindow {
		c.fail(FlowControlError, "window of more than 2^31-1")
		return false
	}
	*window += int32(n)
	return true
}

// Streams and bounds.

// idle reports whether nobody has opened the stream (RFC 9113 §5.1).
func (c *Conn) idle(id uint32) bool { return id > c.highest || id%2 == 0 }

// ignores reports whether frames may still come for a stream that is closed.
func (c *Conn) ignores(id uint32) bool {
	return c.closed.has(id) || c.shutdown == final && id > c.taken
}

// opened notes that a stream isn't idle any more.
func (c *Conn) opened(id uint32) {
	if id == 1 || id == c.gapless+2 {
		c.gapless = id
	}
	c.highest = id
}

func (c *Conn) add(id uint32) *Stream {
	s := c.spare.get()
	s.ID, s.c, s.left = id, c, -1
	s.sendWindow, s.receiveWindow, s.window = c.peer.window, c.cfg.StreamWindow, c.cfg.StreamWindow
	if !c.acked {
		s.receiveWindow = max(s.receiveWindow, initialWindow) // the peer may not know better yet
	}
	c.streams = append(c.streams, s)
	return s
}

// finish ends a stream that both ends are done with.
func (c *Conn) finish(s *Stream) {
	if s.closed || !s.localDone || !s.remoteDone {
		return
	}
	c.end(s)
	if !s.oversized {
		c.resets.earn(1)
		c.chores.earn(earnedByAnswer)
	}
}

// end takes a stream out of everything. It is spare when the handlers that may know it have returned.
func (c *Conn) end(s *Stream) {
	s.closed, s.localDone, s.remoteDone = true, true, true
	c.streams.remove(s)
	c.writers.remove(s)
	if c.payload.stream == s {
		c.payload.stream = nil
	}
	s.next, c.ended = c.ended, s
}

func (c *Conn) recycle() {
	c.spare.put(c.ended)
	c.ended = nil
}

// reset ends a stream with RST_STREAM.
func (c *Conn) reset(s *Stream, code Code) {
	c.end(s)
	c.writeReset(s.ID, code)
}

// violated resets a stream for what the peer has done with it.
func (c *Conn) violated(s *Stream, code Code) {
	c.reset(s, code)
	c.handler.Reset(s, code)
	c.costly()
}

// refuse answers a frame for a stream that isn't open, or may not be. On an idle one there can be no RST_STREAM (RFC 9113 §5.1).
func (c *Conn) refuse(id uint32, code Code, reason string) {
	switch s := c.streams.find(id); {
	case c.idle(id):
		c.fail(code, reason)
	case s != nil:
		c.violated(s, code)
	case c.costly():
		c.writeReset(id, code)
	}
}

// chore takes note of n chores, and ends the connection if they are too many.
func (c *Conn) chore(n int) bool {
	if !c.chores.spend(n, c.cfg.Now) {
		c.fail(EnhanceYourCalm, "too many frames to no end")
	}
	return c.err == nil
}

// costly is the same for streams that the peer has reset, or had us reset, before an answer.
func (c *Conn) costly() bool {
	if !c.resets.spend(1, c.cfg.Now) {
		c.fail(EnhanceYourCalm, "too many resets without an answer")
	}
	return c.err == nil
}

// fail ends the connection.
func (c *Conn) fail(code Code, reason string) (taken int) {
	if c.err == nil {
		last := c.highest
		if c.cfg.Client {
			last = 0 // it takes no streams
		} else if c.shutdown == final {
			last = c.taken // it must not grow
		}
		c.goAway(last, code, reason)
		c.err = &Error{code, reason}
	}
	return 0
}

// Output.

// resume has a stream go on that waited for its own window.
func (c *Conn) resume(s *Stream) {
	if s.wants && s.sendWindow > 0 && !s.queued {
		c.writers.push(s)
		c.wake = true
	}
}

// write gives the streams that wait their turns, as long as something can be written.
func (c *Conn) write() {
	for c.err == nil && c.sendWindow > 0 && len(*c.out) < c.cfg.MaxOut && c.writers.first != nil {
		s := c.writers.first
		c.writers.remove(s)
		if s.sendWindow <= 0 {
			continue // until the peer has it grow again
		}
		s.wants, s.allowed = false, quantum
		c.handler.Writable(s)
		s.allowed = 0
	}
}

func (c *Conn) writeData(s *Stream, p []byte, end bool) {
	f := frame{length: len(p), kind: frameData, stream: s.ID}
	if end {
		f.flags = flagEndStream
	}
	*c.out = append(f.appendTo(*c.out), p...)
}

func (c *Conn) beginBlock() (start int) {
	start = len(*c.out)
	var room [frameHeader]byte
	*c.out = c.encoder.Begin(append(*c.out, room[:]...))
	return start
}

func (c *Conn) writeFields(f h1.Fields) {
	b := *c.out
	for i := range f {
		b = c.encoder.AppendField(b, f[i].Name, f[i].Value, f[i].Sensitive)
	}
	*c.out = b
}

func (c *Conn) endBlock(start int, stream uint32, end bool) {
	*c.out = splitBlock(*c.out, start, stream, end)
}

func (c *Conn) writeReset(id uint32, code Code) {
	if c.err != nil {
		return // GOAWAY is the last frame
	}
	c.closed.add(id)
	*c.out = appendWord(*c.out, frameReset, id, uint32(code))
}

func (c *Conn) goAway(last uint32, code Code, reason string) {
	c.taken = last
	b := frame{length: 8 + len(reason), kind: frameGoAway}.appendTo(*c.out)
	b = binary.BigEndian.AppendUint32(b, last)
	b = binary.BigEndian.AppendUint32(b, uint32(code))
	*c.out = append(b, reason...)
}
