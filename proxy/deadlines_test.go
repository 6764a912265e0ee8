package proxy

import (
	"fmt"
	"io"
	"log"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"pgregory.net/rapid"

	"github.com/sluice-proxy/sluice/proxy/internal/h1"
	"github.com/sluice-proxy/sluice/proxy/internal/loop"
)

// eager is a client that takes everything at once.
type eager struct{}

func (eager) data(p []byte, _ bool) int { return len(p) }
func (eager) trailers(h1.Fields)        {}
func (eager) credit(int, int)           {}
func (eager) invite()                   {}
func (eager) interim(*head)             {}
func (eager) respond(*head, bool)       {}
func (eager) leave(*Error)              {}

// endNoted notes when it has ended, and why.
type endNoted struct {
	NopExchange
	now    func() time.Time
	at     time.Time
	reason Reason
}

func (x *endNoted) End(_ *Request, r Result) {
	if !x.at.IsZero() {
		panic("ended twice")
	}
	x.at, x.reason = x.now(), r.Reason
}

// timedCall is a call, and when it should end.
type timedCall struct {
	c       *call
	x       *endNoted
	t       Timeouts
	arrived time.Time
	last    time.Time
	set     time.Time // t have been in force since then
	started bool
	gone    bool // by itself
}

// due is when the first of the timeouts is over, and which that is; of two at the same time any.
func (m *timedCall) due() (at time.Time, why []Reason) {
	add := func(d time.Duration, from time.Time, r Reason) {
		if t := from.Add(d); d > 0 && (at.IsZero() || !t.After(at)) {
			if !t.Equal(at) {
				why = nil
			}
			at, why = t, append(why, r)
		}
	}
	add(m.t.Total, m.arrived, TimeoutTotal)
	add(m.t.Idle, m.last, TimeoutIdle)
	if !m.started {
		add(m.t.ResponseStart, m.arrived, TimeoutStart)
	}
	return at, why
}

// Each call ends by the first of its timeouts: never before it is over, and youngFor after that at most.
func TestDeadlines(t *testing.T) {
	duration := rapid.SampledFrom([]time.Duration{0, 0, time.Millisecond, 19 * time.Millisecond, 20 * time.Millisecond, 25 * time.Millisecond, 100 * time.Millisecond, time.Second})
	steps := rapid.SliceOfN(rapid.Custom(func(t *rapid.T) timedStep {
		return timedStep{
			pause: duration.Draw(t, "pause"), what: rapid.IntRange(0, 5).Draw(t, "what"), call: rapid.IntRange(0, 1000).Draw(t, "call"),
			t: Timeouts{Total: duration.Draw(t, "total"), ResponseStart: duration.Draw(t, "start"), Idle: duration.Draw(t, "idle")},
		}
	}), 1, 60)
	rapid.Check(t, func(rt *rapid.T) {
		failed, all := "", steps.Draw(rt, "steps") // rapid's panics must not pass through the bubble
		synctest.Test(t, func(*testing.T) { failed = checkDeadlines(all) })
		if failed != "" {
			rt.Fatal(failed)
		}
	})
}

// timedStep is what happens after a pause.
type timedStep struct {
	pause      time.Duration
	what, call int
	t          Timeouts
}

func checkDeadlines(steps []timedStep) (failed string) {
	s := &shard{h: new(Handler), e: &Engine{log: log.New(io.Discard, "", 0)}}
	s.h.cfg = Config{Name: "x"}.withDefaults()
	s.deadlines.s = s
	l, err := loop.New(loop.Config{NoEpoll: true, Turn: s.turn, Tick: s.deadlines.tick})
	if err != nil {
		return err.Error()
	}
	s.loop = l
	defer l.Close()
	var all []*timedCall
	for n, step := range steps {
		time.Sleep(step.pause)
		synctest.Wait()
		now := time.Now()
		for i, m := range all {
			due, why := m.due()
			most := due.Add(youngFor)
			if m.set.After(due) {
				most = m.set.Add(youngFor)
			}
			switch ended := !m.x.at.IsZero(); {
			case m.gone:
			case ended && (due.IsZero() || m.x.at.Before(due) || !slices.Contains(why, m.x.reason)):
				failed = fmt.Sprintf("call %d ended with %v at %v, and should at %v with %v", i, m.x.reason, m.x.at, due, why)
			case ended && m.x.at.After(most):
				failed = fmt.Sprintf("call %d ended %v late", i, m.x.at.Sub(most))
			case !ended && !due.IsZero() && now.After(most):
				failed = fmt.Sprintf("call %d is %v late", i, now.Sub(most))
			case ended:
				m.gone = true
			}
			if failed != "" {
				return fmt.Sprintf("step %d: %s", n, failed)
			}
		}
		what, i, timeouts := step.what, step.call%max(1, len(all)), step.t
		l.Do(func() {
			if what <= 1 || len(all) == 0 || all[i].gone {
				m := &timedCall{c: s.call(), x: &endNoted{now: l.Now}, t: timeouts, arrived: l.Now(), last: l.Now(), set: l.Now()}
				m.c.client, m.c.x, m.c.begun, m.c.counted, m.c.req.Arrived = eager{}, m.x, true, true, l.Now()
				s.h.inFlight.Add(1)
				s.deadlines.join(m.c)
				s.deadlines.set(m.c, m.t, time.Time{})
				all = append(all, m)
				return
			}
			switch m := all[i]; what {
			case 2:
				s.deadlines.touch(m.c)
				m.last = l.Now()
			case 3:
				s.deadlines.begun(m.c)
				m.started = true
			case 4: // another attempt
				s.deadlines.set(m.c, timeouts, time.Time{})
				m.t, m.last, m.set, m.started = timeouts, l.Now(), l.Now(), false
			case 5:
				m.gone = true
				m.c.end(errClientGone)
			}
		})
	}
	return ""
}
