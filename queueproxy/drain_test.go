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
			d.end(time.Now())
		}, 10*time.Second + quiet},
		{"a long request does not hold it up", func(d *drain) {
			d.begin()
			time.AfterFunc(200*time.Second, func() { d.end(time.Now()) })
		}, quiet},
		{"a prober was answered: idle", func(d *drain) { d.probeAnswered() }, idle},
		{"a prober was answered later", func(d *drain) {
			time.Sleep(8 * time.Second)
			d.probeAnswered()
		}, 8*time.Second + idle},
		{"a prober was answered again", func(d *drain) {
			for range 4 {
				d.probeAnswered()
				time.Sleep(time.Second)
			}
		}, idle},
		{"a prober was answered, a request on its way", func(d *drain) {
			d.probeAnswered()
			time.Sleep(3 * time.Second)
			d.begin()
			d.end(time.Now())
		}, 3*time.Second + idle},
		{"a prober was answered, one in flight", func(d *drain) {
			d.begin()
			d.probeAnswered()
			time.Sleep(12 * time.Second)
			d.end(time.Now())
		}, 12*time.Second + idle},
		{"a prober was answered, one in flight for long", func(d *drain) {
			d.begin()
			d.probeAnswered()
			time.AfterFunc(100*time.Second, func() { d.end(time.Now()) })
		}, quiet},
		{"requests without end: the grace period", func(d *drain) {
			for range 40 {
				time.Sleep(10 * time.Second)
				d.begin()
				d.end(time.Now())
			}
		}, limit},
	} {
		t.Run(test.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				d := newDrain(quiet, idle, limit, func(bool) {})
				defer d.close()
				d.noteProbe()
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
		d.noteProbe()
		d.probeAnswered() // no effect: there is no drain
		d.begin()
		time.Sleep(time.Hour)
		got := drained(t, d)
		if at := <-got; at != 30*time.Second {
			t.Errorf("quiet after %v", at)
		}
		begin := time.Now()
		time.AfterFunc(7*time.Second, func() { d.end(time.Now()) })
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
		d.noteProbe()
		serving := d.untilDraining()
		d.start()
		d.start() // the hook of a second container
		if !errors.Is(context.Cause(serving), errDraining) {
			t.Error("held probes were not answered")
		}
		time.Sleep(10 * time.Second)
		d.release(drainUndo)
		time.Sleep(10 * time.Second)
		if !d.active.Load() {
			t.Error("undone though one still drains")
		}
		d.release(drainUndo)
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
		d.release(drainUndo)
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

// A wait for a drain can be cancelled.
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
		time.AfterFunc(50*time.Second, func() { d.end(time.Now()) })
		if d.start() {
			t.Error("it was draining already")
		}
		if err := d.untilEmpty(t.Context()); err != nil || time.Since(begin) != 50*time.Second {
			t.Errorf("%v after %v", err, time.Since(begin))
		}
	})
}

// An embedded queue-proxy without probers has none to notify: the drain of an idle one is over at once. (It used to take
// the whole quiet period.)
func TestC15DrainOfAPodThatNobodyProbes(t *testing.T) {
	const quiet, idle, limit = 30 * time.Second, 5 * time.Second, 300 * time.Second
	for _, test := range []struct {
		name   string
		before func(d *drain)
		run    func(d *drain)
		want   time.Duration
	}{
		{"no request ever", func(*drain) {}, func(*drain) {}, 0},
		{"no request for a while", func(d *drain) {
			d.begin()
			d.end(time.Now())
			time.Sleep(drainUnprobed)
		}, func(*drain) {}, 0},
		{"a request a moment ago", func(d *drain) {
			d.begin()
			time.Sleep(time.Second)
			d.end(time.Now())
			time.Sleep(300 * time.Millisecond)
		}, func(*drain) {}, 700 * time.Millisecond},
		{"one in flight", func(d *drain) { d.begin() }, func(d *drain) {
			time.Sleep(12 * time.Second)
			d.end(time.Now())
		}, 12*time.Second + drainUnprobed},
		{"one in flight for long", func(d *drain) { d.begin() }, func(d *drain) {
			time.AfterFunc(100*time.Second, func() { d.end(time.Now()) })
		}, quiet},
		{"requests keep coming", func(d *drain) { d.begin(); d.end(time.Now()) }, func(d *drain) {
			for range 10 {
				time.Sleep(drainUnprobed / 2)
				d.begin()
				d.end(time.Now())
			}
		}, 5*drainUnprobed + drainUnprobed},
		{"a prober comes after all", func(d *drain) { d.begin(); d.end(time.Now()) }, func(d *drain) {
			time.Sleep(drainUnprobed / 2)
			d.noteProbe()
			d.probeAnswered()
		}, drainUnprobed/2 + idle},
	} {
		t.Run(test.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				d := newDrain(quiet, idle, limit, func(bool) {})
				defer d.close()
				time.Sleep(time.Millisecond)
				test.before(d)
				got := drained(t, d)
				go test.run(d)
				if at := <-got; at != test.want {
					t.Errorf("quiet after %v, want %v", at, test.want)
				}
				time.Sleep(limit) // what run began ends in the bubble
			})
		})
	}
}

// The preStop hook of the app's container returns when the pod is quiet, whatever is in flight, or after a second when no
// SIGTERM has come. (It used to wait for what was in flight: the app got its SIGTERM at the end of its grace period, too
// late to close its websockets, and one that hung kept its own restart waiting, unready, for 300 s.)
func TestC17HookDoesNotWaitForWhatIsInFlight(t *testing.T) {
	const quiet, idle, limit = 30 * time.Second, 5 * time.Second, 300 * time.Second
	const never = -1
	for _, test := range []struct {
		name     string
		inFlight bool
		sigterm  time.Duration // after the hook
		answered bool
		want     time.Duration
	}{
		{"idle, no SIGTERM", false, never, true, drainUndo},
		{"a websocket, no SIGTERM", true, never, true, drainUndo},
		{"idle, SIGTERM with it", false, 0, true, idle},
		{"idle, SIGTERM with it, no prober was answered", false, 0, false, quiet},
		{"a websocket, SIGTERM with it", true, 0, true, quiet},
		{"a websocket, SIGTERM a little later", true, drainUndo / 2, true, quiet},
		{"a websocket, SIGTERM too late", true, 2 * drainUndo, true, drainUndo},
	} {
		t.Run(test.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				d := newDrain(quiet, idle, limit, func(bool) {})
				defer d.close()
				d.noteProbe()
				if test.inFlight {
					d.begin()
				}
				if test.sigterm != never {
					time.AfterFunc(test.sigterm, func() { d.start(); d.terminate() })
				}
				synctest.Wait()
				begin := time.Now()
				d.start()
				if test.answered {
					d.probeAnswered()
				}
				if err := d.untilHooked(t.Context(), begin); err != nil || time.Since(begin) != test.want {
					t.Errorf("it returns after %v, %v; want %v", time.Since(begin), err, test.want)
				}
				d.release(max(0, drainUndo-time.Since(begin)))
				synctest.Wait()
				if on, want := d.active.Load(), test.want != drainUndo; on != want {
					t.Errorf("after it the pod drains: %v, want %v", on, want)
				}
				time.Sleep(limit)
			})
		})
	}
}
