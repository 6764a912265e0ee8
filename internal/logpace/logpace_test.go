package logpace

import (
	"testing"
	"testing/synctest"
	"time"
)

func TestDue(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var p Pace
		for _, c := range []struct {
			after  time.Duration
			others int
			due    bool
		}{{0, 0, true}, {0, 0, false}, {Every - 1, 0, false}, {1, 2, true}, {Every, 0, true}, {time.Hour, 0, true}, {1, 0, false}} {
			time.Sleep(c.after)
			if others, due := p.Due(); others != c.others || due != c.due {
				t.Errorf("after %v: %d %v, want %d %v", c.after, others, due, c.others, c.due)
			}
		}
	})
}
