package h2

import "github.com/sluice-proxy/sluice/proxy/internal/h1"

// Stream is a request with its answer.
type Stream struct {
	ID   uint32
	User any // the user's own, which sets it to nil when the stream has ended: the stream is held until there is input again

	c          *Conn
	next, prev *Stream // in writers, or (next) in the list of those that have ended

	sendWindow    int32 // negative after the peer has made it smaller (RFC 9113 §6.9.2)
	receiveWindow int32 // what the peer knows that it may send
	window        int32 // what it may receive beyond what was credited
	owed          int32 // credited by the user, and not yet to the peer
	allowed       int32 // of this turn, while others wait for theirs
	left          int64 // content that is still to come by Content-Length; -1: who knows
	interims      int16

	headSent, localDone      bool // localDone: with END_STREAM
	headReceived, remoteDone bool
	closed                   bool
	wants                    bool // WriteData took less than it was given
	queued                   bool // in writers
	noContent                bool // a client's request is HEAD
	oversized                bool // its head was: what else it sends is thrown away
}

// quantum is how much a stream writes in its turn while others wait.
const quantum = maxFrame

// WriteHead sends the head of an answer: an interim one if status is below 200, which ends nothing. Names are lower-cased; fields
// of the connection are the caller's to remove (RFC 9113 §8.2.2). A server's.
//
// What is written after the end, or to a stream that has been reset, goes nowhere.
func (s *Stream) WriteHead(status int, f h1.Fields, end bool) {
	c := s.c
	if s.localDone || c.err != nil {
		return
	}
	start := c.beginBlock()
	*c.out = c.encoder.AppendStatus(*c.out, status)
	c.writeFields(f)
	end = end && status >= 200
	s.headSent = s.headSent || status >= 200
	c.endBlock(start, s.ID, end)
	if end {
		s.endLocal()
	}
}

// WriteData sends of p what the windows and the output have room for, and returns how much that is. If that is less than p,
// Writable follows. end: there is no more, which is sent with the last byte of p.
func (s *Stream) WriteData(p []byte, end bool) (n int) {
	c := s.c
	if s.localDone || c.err != nil {
		return len(p)
	}
	for n < len(p) {
		room := min(len(p)-n, maxFrame, int(s.sendWindow), int(c.sendWindow))
		if c.writers.first != nil {
			room = min(room, int(s.allowed)) // 0 if it isn't its turn
		}
		if room <= 0 || len(*c.out) >= c.cfg.MaxOut {
			break
		}
		whole := n+room == len(p)
		c.writeData(s, p[n:n+room], end && whole)
		s.sendWindow -= int32(room)
		s.allowed = max(0, s.allowed-int32(room))
		c.sendWindow -= int32(room)
		n += room
		c.chores.earn(room / chorePerData)
		if whole {
			c.chores.earn(earnedByWhole)
		}
	}
	s.wants = n < len(p)
	switch {
	case s.wants && s.sendWindow > 0 && !s.queued:
		c.writers.push(s)
	case !s.wants:
		c.writers.remove(s)
		if end {
			if len(p) == 0 {
				c.writeData(s, nil, true)
			}
			s.endLocal()
		}
	}
	return n
}

// WriteTrailers sends the trailer section, which ends the stream's content.
func (s *Stream) WriteTrailers(f h1.Fields) {
	if s.localDone || s.c.err != nil {
		return
	}
	start := s.c.beginBlock()
	s.c.writeFields(f)
	s.c.endBlock(start, s.ID, true)
	s.endLocal()
}

// Reset ends the stream in both directions. Its Handler isn't told.
func (s *Stream) Reset(code Code) {
	if !s.closed {
		s.c.reset(s, code)
	}
}

// Credit says that n bytes of what Data was given have gone on: the peer may send as many more. It is told when a quarter of the
// window has come together.
func (s *Stream) Credit(n int) {
	c := s.c
	if s.closed || s.remoteDone || s.oversized || c.err != nil {
		return
	}
	s.owed += int32(n)
	if s.owed >= max(1, s.window/4) {
		*c.out = appendWord(*c.out, frameWindow, s.ID, uint32(s.owed))
		s.receiveWindow += s.owed
		s.owed = 0
	}
}

// Widen has the peer send up to n bytes more ahead of what is credited.
func (s *Stream) Widen(n int) {
	s.window += int32(n)
	s.Credit(n)
}

// endLocal follows END_STREAM.
func (s *Stream) endLocal() {
	c := s.c
	s.localDone, s.wants = true, false
	c.writers.remove(s)
	if s.oversized && !s.remoteDone {
		c.reset(s, NoError) // RFC 9113 §8.1: after a complete answer that doesn't need the rest of the request
		return
	}
	c.finish(s)
}
