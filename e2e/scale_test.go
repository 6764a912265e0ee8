package e2e

import (
	"fmt"
	"testing"
	"time"
)

func TestZeroToOneOnOneRequestAndBack(t *testing.T) {
	t.Parallel()
	q := serve(t, service{})
	if started := q.notes(); len(started) != 0 {
		t.Fatalf("started without a request: %+v", started)
	}
	a := mustGet(t, q.client(1), q.url("app", "/"))
	started := q.notes()
	if len(started) != 1 || started[0].PID != a.pid() {
		t.Fatalf("answered by process %d, started: %+v", a.pid(), started)
	}
	if listened := time.Unix(0, started[0].ListenAt); listened.Before(a.sent) {
		t.Errorf("listening %v before the request", a.sent.Sub(listened))
	}
	answered := time.Now()
	q.eventually("the process is gone", func() bool { return !alive(a.pid()) })
	if gone := time.Since(answered); gone < 6*time.Second {
		t.Errorf("gone %v after the request, before the window of 6 s", gone)
	}
	q.eventually("only the quickstart itself is left", func() bool { return len(q.processes()) == 1 })
	if b := mustGet(t, q.client(1), q.url("app", "/")); b.pid() == a.pid() {
		t.Error("answered by the process that has ended")
	}
}

func TestBurstOf200ToZeroPods(t *testing.T) {
	for _, limit := range []int{1, 5, 0} {
		t.Run(fmt.Sprintf("containerConcurrency %d", limit), func(t *testing.T) {
			t.Parallel()
			q := serve(t, service{concurrency: limit})
			c := q.client(200)
			most := map[int]int{}
			for _, a := range burst(200, func(int) answer { return get(c, q.url("app", "/sleep?d=20ms")) }) {
				if !a.ok() {
					t.Fatal(a)
				}
				most[a.pid()] = max(most[a.pid()], atoi(a.head.Get("X-In-Flight")))
			}
			t.Logf("most in flight, by process: %v", most)
			for pid, n := range most {
				if limit > 0 && n > limit {
					t.Errorf("process %d had %d in flight", pid, n)
				}
			}
		})
	}
}

// Pods are added while one pod is busy, and removed while a smaller load continues.
func TestPeers9NoRequestFailsFromOneToNToZero(t *testing.T) {
	needProc(t)
	const limit = 5
	q := serve(t, service{concurrency: limit})
	c := q.client(1)
	mustGet(t, c, q.url("app", "/"))
	pods := func() int { return len(q.apps()) }

	l := q.startLoad(q.url("app", fmt.Sprintf("/sleep?d=%v", 15*time.Second/loadRate))) // 15 at a time
	q.eventually("four pods", func() bool { return pods() >= 4 })
	short := q.url("app", "/sleep?d=1ms") // one at a time at most
	l.url.Store(&short)
	q.eventually("two pods at most", func() bool { return pods() <= 2 })
	l.end(t)
	l.within(t, limit)
	q.eventually("no pod", func() bool { return pods() == 0 })
	mustGet(t, c, q.url("app", "/"))
}
