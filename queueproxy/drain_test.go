package queueproxy

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"
)

// drained starts a drain and reports when it became quiet.
func drained(t *testing.T, d *drain) <-chan time.Duration {
	t.Helper()
	d.start()
	begin, quiet := time.Now(), make(chan time.Duration, 1)
	go func() {
		if err := d.untilQuiet(t.Context()); err != nil {
			t.Error(err)
		}
		quiet <- time.Since(begin)
	}()
	synctest.Wait()
	return quiet
}

func TestDrainIsQuiet(t *testing.T) {
	const quiet, idle, limit = 30 * time.Second, 5 * time.Second, 300 * time.Second
	for _, test := range []struct {
		name string
		run  func(d *drain)
		want time.Duration
	}{
		{"nothing happens", func(*drain) {}, quiet},
		{"a request restarts it", func(d *drain) {
			time.Sleep(10 * time.Second)
			d.begin()
			d.end()
		}, 10*time.Second + quiet},
		{"a long request does not hold it up", func(d *drain) {
			d.begin()
			time.AfterFunc(200*time.Second, d.end)
		}, quiet},
		{"told: idle", func(d *drain) { d.tell() }, idle},
		{"told later", func(d *drain) {
			time.Sleep(8 * time.Second)
			d.tell()
		}, 8*time.Second + idle},
		{"told again", func(d *drain) {
			for range 4 {
				d.tell()
				time.Sleep(time.Second)
			}
		}, idle},
		{"told, a request on its way", func(d *drain) {
			d.tell()
			time.Sleep(3 * time.Second)
			d.begin()
			d.end()
		}, 3*time.Second + idle},
		{"told, one in flight", func(d *drain) {
			d.begin()
			d.tell()
			time.Sleep(12 * time.Second)
			d.end()
		}, 12*time.Second + idle},
		{"told, one in flight for long", func(d *drain) {
			d.begin()
			d.tell()
			time.AfterFunc(100*time.Second, d.end)
		}, quiet},
		{"requests without end: the grace period", func(d *drain) {
			for range 40 {
				time.Sleep(10 * time.Second)
				d.begin()
				d.end()
			}
		}, limit},
	} {
		t.Run(test.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				d := newDrain(quiet, idle, limit, func(bool) {})
				defer d.close()
				got := drained(t, d)
				go test.run(d)
				if at := <-got; at != test.want {
					t.Errorf("quiet after %v, want %v", at, test.want)
				}
				time.Sleep(limit + 100*time.Second) // what run began ends in the bubble
			})
		})
	}
}

// What happened before the drain does not count, but for what is in flight.
func TestDrainOfABusyPod(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := newDrain(30*time.Second, 5*time.Second, time.Minute, func(bool) {})
		defer d.close()
		d.tell() // no drain: nothing to tell
		d.begin()
		time.Sleep(time.Hour)
		got := drained(t, d)
		if at := <-got; at != 30*time.Second {
			t.Errorf("quiet after %v", at)
		}
		begin := time.Now()
		time.AfterFunc(7*time.Second, d.end)
		if err := d.untilEmpty(t.Context()); err != nil || time.Since(begin) != 7*time.Second {
			t.Errorf("empty after %v, %v", time.Since(begin), err)
		}
	})
}

// A request that never ends is waited for until the grace period is over, counted from the start of the drain.
func TestDrainEndsWithTheGracePeriod(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := newDrain(time.Second, time.Second, time.Minute, func(bool) {})
		defer d.close()
		d.begin()
		begin := time.Now()
		<-drained(t, d)
		if err := d.untilEmpty(t.Context()); err != nil || time.Since(begin) != time.Minute {
			t.Errorf("given up after %v, %v", time.Since(begin), err)
		}
		if got := d.deadline().Sub(begin); got != time.Minute {
			t.Errorf("deadline after %v", got)
		}
	})
}

func TestDrainIsUndone(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var changes []bool
		d := newDrain(30*time.Second, 5*time.Second, time.Minute, func(on bool) { changes = append(changes, on) })
		defer d.close()
		serving := d.untilDraining()
		d.start()
		d.start() // the hook of a second container
		if !errors.Is(context.Cause(serving), errDraining) {
			t.Error("held probes were not told")
		}
		time.Sleep(10 * time.Second)
		d.release()
		time.Sleep(10 * time.Second)
		if !d.active.Load() {
			t.Error("undone though one still drains")
		}
		d.release()
		time.Sleep(drainUndo - time.Millisecond)
		synctest.Wait()
		if !d.active.Load() {
			t.Error("undone too soon")
		}
		time.Sleep(2 * time.Millisecond)
		synctest.Wait()
		if d.active.Load() || d.untilDraining().Err() != nil {
			t.Error("not undone")
		}
		// The next drain starts afresh.
		got := drained(t, d)
		if at := <-got; at != 30*time.Second {
			t.Errorf("quiet after %v", at)
		}
		if len(changes) != 3 || !changes[0] || changes[1] || !changes[2] {
			t.Errorf("changes %v", changes)
		}
	})
}

// SIGTERM within the second: the drain that has been waited for goes on, and is not started again.
func TestDrainIsTakenOver(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := newDrain(30*time.Second, 5*time.Second, 40*time.Second, func(bool) {})
		defer d.close()
		begin := time.Now()
		<-drained(t, d)
		d.release()
		time.Sleep(drainUndo / 2)
		d.start()
		time.Sleep(time.Minute)
		synctest.Wait()
		if !d.active.Load() {
			t.Error("undone after SIGTERM")
		}
		if got := d.deadline().Sub(begin); got != 40*time.Second {
			t.Errorf("the grace period ends %v after the hook", got)
		}
	})
}

// Who waits for a drain may give up.
func TestDrainWaitIsCancelled(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := newDrain(time.Hour, time.Hour, time.Hour, func(bool) {})
		defer d.close()
		d.start()
		d.begin()
		gone := errors.New("gone")
		ctx, cancel := context.WithCancelCause(t.Context())
		time.AfterFunc(time.Second, func() { cancel(gone) })
		if err := d.untilQuiet(ctx); !errors.Is(err, gone) {
			t.Error(err)
		}
		if err := d.untilEmpty(ctx); !errors.Is(err, gone) {
			t.Error(err)
		}
	})
}

// A hook that holds on for longer than any pod lives does not use up the time of the drain that SIGTERM starts.
func TestDrainAfterOneThatIsOver(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := newDrain(time.Second, time.Second, time.Minute, func(bool) {})
		defer d.close()
		if !d.start() {
			t.Error("no drain has begun")
		}
		time.Sleep(time.Hour)
		begin := time.Now()
		d.begin()
		time.AfterFunc(50*time.Second, d.end)
		if d.start() {
			t.Error("it was draining already")
		}
		if err := d.untilEmpty(t.Context()); err != nil || time.Since(begin) != 50*time.Second {
			t.Errorf("%v after %v", err, time.Since(begin))
		}
	})
}
