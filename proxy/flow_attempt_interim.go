package proxy

import (
	"net/http"
	"time"

	"github.com/sluice-proxy/sluice/proxy/internal/h1"
)

// expect gives the upstream its time to ask for the body.
func (t *flowAttempt) expect() {
	f, c := t.f, t.conn
	t.asked = time.AfterFunc(f.h.cfg.ExpectTimeout, func() {
		f.mu.Lock()
		defer f.mu.Unlock()
		if f.upstream == c { // it may have become another request's, which takes an interrupt for what it is
			f.due = true
			f.interruptLocked()
		}
	})
}

// askForBody has the client send its body, which the upstream wants, or has not refused for long enough.
func (t *flowAttempt) askForBody(tell bool) error {
	f := t.f
	t.expecting = false
	t.asked.Stop()
	if tell {
		if err := f.invite(); err != nil {
			return err
		}
	}
	f.up.start(t.conn, true)
	return nil
}

// invite tells a client that waits to be told so to send its body.
func (f *flow) invite() error {
	if !f.head.Expect || f.up.taken.Load() > 0 || f.up.body.Done() {
		return nil
	}
	return f.writeInterim([]byte(h1.Continue))
}

// interim passes a 1xx on, but for a 100 that the client has not asked for.
func (t *flowAttempt) interim() error {
	f := t.f
	if t.ans.Status == http.StatusContinue {
		if !t.expecting {
			return nil
		}
		return t.askForBody(true)
	}
	if f.head.Minor == 0 {
		return nil
	}
	if err := f.h.receiveInterim(Header{list: &t.ans.Fields}); err != nil {
		return err
	}
	return f.writeInterim(appendInformational(nil, &t.ans, ""))
}

// writeInterim writes an interim answer; a timeout doesn't wait for its end.
func (f *flow) writeInterim(b []byte) error {
	if !f.clock.hold(true) {
		return f.ended()
	}
	_, err := f.c.conn.Write(b)
	f.clock.hold(false)
	if err != nil {
		f.hurt = true
		return f.clientWrite()
	}
	return nil
}

// clientWrite is the reason for a failed write to the client: its leaving, unless a timeout made it fail.
func (f *flow) clientWrite() *Error {
	if e := f.ended(); e != nil {
		return e
	}
	return errClientGone
}
