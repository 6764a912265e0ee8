package throttler_test

import (
	"context"
	"errors"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/sluice-proxy/sluice/throttler"
)

func TestConfigValidate(t *testing.T) {
	for name, c := range map[string]struct {
		config throttler.Config
		ok     bool
	}{
		"zero":           {throttler.Config{}, true},
		"set":            {throttler.Config{MaxWaiting: 1, MaxWaitingBytes: 1}, true},
		"long first":     {throttler.Config{Eject: throttler.Backoff{First: time.Minute}}, true},
		"requests":       {throttler.Config{MaxWaiting: -1}, false},
		"bytes":          {throttler.Config{MaxWaitingBytes: -1}, false},
		"eject":          {throttler.Config{Eject: throttler.Backoff{First: -1}}, false},
		"decline shrink": {throttler.Config{Decline: throttler.Backoff{First: time.Second, Max: time.Millisecond}}, false},
	} {
		th, err := throttler.New(c.config)
		if (err == nil) != c.ok || (th != nil) != c.ok {
			t.Errorf("%s: %v", name, err)
		}
	}
	if err := (throttler.RevisionConfig{Pick: throttler.PickRoundRobin}).Validate(); err != nil {
		t.Error(err)
	}
	if err := (throttler.RevisionConfig{Pick: 99}).Validate(); err == nil {
		t.Error("pick 99 is valid")
	}
}

func TestBackendsBeforeRevisionAreKept(t *testing.T) {
	th := newThrottler(t)
	d := throttler.Demand{Revision: revisionID(0)}
	th.SetBackends(d.Revision, podList(1, 1))
	if _, _, err := th.TryAcquire(d); !errors.Is(err, throttler.ErrUnknownRevision) {
		t.Errorf("TryAcquire: %v", err)
	}
	if _, err := th.Acquire(t.Context(), d); !errors.Is(err, throttler.ErrUnknownRevision) {
		t.Errorf("Acquire: %v", err)
	}
	if _, known := th.Stats(d.Revision); known {
		t.Error("known")
	}
	th.SetRevision(d.Revision, throttler.RevisionConfig{})
	if l := acquire(t, th, d); l.ID() != "uid-00000" {
		t.Errorf("lease of %q", l.ID())
	}
}

func TestDeletedRevision(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		th, d := withPods(t, 1, 1)
		out := acquire(t, th, d)
		got := make(chan error, 1)
		go func() {
			_, err := th.Acquire(t.Context(), d)
			got <- err
		}()
		synctest.Wait()
		th.DeleteRevision(d.Revision)
		if err := <-got; !errors.Is(err, throttler.ErrRevisionGone) {
			t.Errorf("waiter: %v", err)
		}
		if _, _, err := th.TryAcquire(d); !errors.Is(err, throttler.ErrUnknownRevision) {
			t.Errorf("newcomer: %v", err)
		}
		if n := throttler.Entries(th); n != 1 {
			t.Errorf("%d entries while a lease is out", n)
		}
		out.Release(throttler.DialFailed)
		out.Release(throttler.OK)
		if n := throttler.Entries(th); n != 0 {
			t.Errorf("%d entries are left", n)
		}
		if got := th.Totals(); got.Revisions != 0 || got.Waiting != 0 || got.DoubleReleases != 1 {
			t.Errorf("%+v", got)
		}
		th.DeleteRevision(d.Revision)
	})
}

func TestLeaseZeroValue(t *testing.T) {
	var l throttler.Lease
	l.Release(throttler.OK)
	if l.Valid() || l.Addr() != "" || l.ID() != "" || l.Spillover() {
		t.Errorf("%+v", l)
	}
}

// An ended lease's grant is used again, so its second Release must not end another lease.
func TestSecondReleaseDoesNothing(t *testing.T) {
	th, d := withPods(t, 1, 1)
	old := acquire(t, th, d)
	old.Release(throttler.OK)
	l := acquire(t, th, d)
	old.Release(throttler.DialFailed)
	full(t, th, d)
	if s, _ := th.Stats(d.Revision); s.DoubleReleases != 1 || s.InFlight != 1 || s.Ejections != 0 {
		t.Errorf("%+v", s)
	}
	if !old.Valid() || old.Addr() != l.Addr() {
		t.Error("an ended lease has forgotten its address")
	}
}

func TestAddressChangeConcernsNewLeases(t *testing.T) {
	th, d := withPods(t, 0, 0)
	pod := throttler.Backend{ID: "uid", Addr: "10.0.0.1:8012", Slots: 2, Own: true}
	th.SetBackends(d.Revision, []throttler.Backend{pod})
	before := acquire(t, th, d)
	pod.Addr = "10.0.0.2:8012"
	th.PatchBackends(d.Revision, []throttler.Backend{pod}, nil)
	after := acquire(t, th, d)
	if before.Addr() != "10.0.0.1:8012" || after.Addr() != "10.0.0.2:8012" || before.ID() != after.ID() {
		t.Errorf("%s, %s", before.Addr(), after.Addr())
	}
	full(t, th, d)
}

func TestBackendWithoutIDIsItsAddress(t *testing.T) {
	th, d := withPods(t, 0, 0)
	th.SetBackends(d.Revision, []throttler.Backend{{Addr: "10.0.0.1:80", Own: true}, {Addr: "10.0.0.1:80", Own: true}})
	if l := acquire(t, th, d); l.ID() != "10.0.0.1:80" {
		t.Errorf("ID %q", l.ID())
	}
	if s, _ := th.Stats(d.Revision); s.Backends != 1 || s.Slots != -1 {
		t.Errorf("%+v", s)
	}
	th.PatchBackends(d.Revision, nil, []string{"10.0.0.1:80", "never"})
	if s, _ := th.Stats(d.Revision); s.Backends != 0 || s.Leaving != 1 {
		t.Errorf("%+v", s)
	}
}

func TestAcquireWithEndedContext(t *testing.T) {
	th, d := withPods(t, 1, 1)
	why := errors.New("client gone")
	ctx, cancel := context.WithCancelCause(t.Context())
	cancel(why)
	if _, err := th.Acquire(ctx, d); !errors.Is(err, why) {
		t.Errorf("%v", err)
	}
	acquire(t, th, d)
}

// 100 wait; as pods come, exactly those that fit are woken.
func TestExactlyThoseWhoFitAreWoken(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		th, d := withPods(t, 0, 3)
		ctx, cancel := context.WithCancel(t.Context())
		var wg sync.WaitGroup
		for range 100 {
			wg.Go(func() { _, _ = th.Acquire(ctx, d) })
		}
		synctest.Wait()
		for pods := 1; pods <= 10; pods++ {
			th.SetBackends(d.Revision, podList(pods, 3))
			synctest.Wait()
			s, _ := th.Stats(d.Revision)
			if n := uint64(3 * pods); s.WakeUps != n || s.Handed != n || s.Grants != n || s.Waiting != 100-3*pods {
				t.Fatalf("%d pods: %+v", pods, s)
			}
		}
		cancel()
		wg.Wait()
		if s, _ := th.Stats(d.Revision); s.WakeUps != 30 || s.Cancelled != 70 {
			t.Errorf("%+v", s)
		}
	})
}

func TestOldRequestWaitsInItsOldPlace(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		th, d := withPods(t, 1, 1)
		l := acquire(t, th, d)
		arrived := time.Now()
		order := make(chan string, 3)
		wait := func(name string, d throttler.Demand) {
			go func() {
				l, err := th.Acquire(t.Context(), d)
				if err != nil {
					t.Error(err)
				}
				order <- name
				l.Release(throttler.OK)
			}()
			synctest.Wait()
		}
		time.Sleep(time.Second)
		wait("second", d)
		time.Sleep(time.Second)
		wait("third", d)
		d.Enqueued = arrived
		wait("first", d)
		l.Release(throttler.OK)
		for _, want := range []string{"first", "second", "third"} {
			if got := <-order; got != want {
				t.Errorf("%s before %s", got, want)
			}
		}
	})
}

// The retry of a request that was admitted is not turned away because others have filled the queue behind it.
func TestOldestComesBackToAFullQueue(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		th, d := withPods(t, 1, 1)
		th.SetRevision(d.Revision, throttler.RevisionConfig{MaxWaiting: 1})
		arrived := time.Now()
		l := acquire(t, th, d)
		time.Sleep(time.Second)
		younger := make(chan error, 1)
		go func() {
			l, err := th.Acquire(t.Context(), d)
			younger <- err
			l.Release(throttler.OK)
		}()
		synctest.Wait()
		if _, err := th.Acquire(t.Context(), d); !errors.Is(err, throttler.ErrQueueFull) {
			t.Errorf("a newcomer: %v", err)
		}
		again := make(chan error, 1)
		go func() {
			back, err := th.Acquire(t.Context(), throttler.Demand{Revision: d.Revision, Enqueued: arrived})
			again <- err
			time.Sleep(time.Second)
			back.Release(throttler.OK)
		}()
		synctest.Wait()
		l.Release(throttler.Unused)
		synctest.Wait()
		if err := <-again; err != nil || len(younger) != 0 {
			t.Errorf("the oldest: %v; younger ones served: %d", err, len(younger))
		}
		if err := <-younger; err != nil {
			t.Error(err)
		}
	})
}
