package tracing

import (
	"context"
	"errors"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/sluice-proxy/sluice/internal/observability"
	"github.com/sluice-proxy/sluice/metrics/otlp"
)

// fake is a sink with a configured delay and error.
type fake struct {
	mu   sync.Mutex
	took time.Duration
	err  error
	got  int
	each int // the largest batch
	end  bool
}

func (f *fake) Export(ctx context.Context, s []otlp.Span) error {
	f.mu.Lock()
	f.each = max(f.each, len(s))
	took := f.took
	f.mu.Unlock()
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-time.After(took):
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.err == nil {
		f.got += len(s)
	}
	return f.err
}

func (f *fake) Close() {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.end = true
}

func (f *fake) state() (got int, end bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.got, f.end
}

func (f *fake) fail(err error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.err = err
}

func (t *Tracer) setFake(f *fake) {
	t.setting.Store(&setting{exporter: observability.Exporter{Protocol: "fake"}, sink: f, sampler: sampler{1 << 63, false}})
	t.changed <- struct{}{}
}

func (t *Tracer) record(n int) {
	for range n {
		s := t.spans.start("s", newTraceID(), spanID{}, otlp.Internal)
		s.end()
	}
}

func TestBatchesAreBoundedAndInTime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := &fake{took: time.Second}
		reported := make(chan error, 10)
		tr := newTracer(t, Config{Span: "s", Failed: func(err error) { reported <- err }})
		stop := run(t, tr)
		tr.setFake(f)
		synctest.Wait()
		after := func(d time.Duration, want int) {
			t.Helper()
			time.Sleep(d)
			synctest.Wait()
			if got, _ := f.state(); got != want {
				t.Errorf("%d spans exported, want %d", got, want)
			}
		}
		tr.record(3)
		after(batchDelay-time.Second, 0)
		after(3*time.Second, 3)
		tr.record(batchSize) // a full batch does not wait for the tick
		after(1500*time.Millisecond, 3+batchSize)
		f.fail(errors.New("down"))
		tr.record(maxQueue + 5)
		after(10*time.Second, 3+batchSize)
		if n := tr.Dropped(); n != maxQueue+5 {
			t.Errorf("%d dropped, want %d", n, maxQueue+5)
		}
		f.fail(nil)
		tr.record(1)
		after(10*time.Second, 4+batchSize)
		if first, second := <-reported, <-reported; first == nil || second != nil || len(reported) > 0 {
			t.Errorf("reported %v, %v and %d times more", first, second, len(reported))
		}
		tr.record(2)
		stop()
		if got, end := f.state(); got != 6+batchSize || !end || f.each != batchSize {
			t.Errorf("%d exported at the end, %d at once, closed: %v", got, f.each, end)
		}
	})
}

func TestFlushHasAnEnd(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := &fake{took: time.Hour}
		tr := newTracer(t, Config{Span: "s", FlushTimeout: 3 * time.Second})
		stop := run(t, tr)
		tr.setFake(f)
		synctest.Wait()
		tr.record(batchSize)
		time.Sleep(time.Minute) // an export hangs
		tr.record(1)
		begin := time.Now()
		stop()
		if d := time.Since(begin); d != 3*time.Second || tr.Dropped() != batchSize+1 {
			t.Errorf("Run took %v more, %d dropped", d, tr.Dropped())
		}
	})
}

func TestSetIsLive(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a, b := &fake{}, &fake{}
		tr := newTracer(t, Config{Span: "s"})
		stop := run(t, tr)
		tr.record(1) // while tracing is off
		tr.setFake(a)
		synctest.Wait()
		tr.record(2)
		kept := tr.setting.Load()
		if err := tr.Set(observability.Exporter{Protocol: "carrier pigeon", SamplingRate: 1}); err == nil || tr.setting.Load() != kept {
			t.Errorf("an unknown protocol: %v", err)
		}
		tr.setFake(b) // spans recorded before go to the previous sink
		synctest.Wait()
		if got, end := a.state(); got != 2 || !end {
			t.Errorf("the first got %d, closed: %v", got, end)
		}
		tr.record(1)
		set(t, tr, observability.Exporter{})
		synctest.Wait()
		tr.record(1)
		stop()
		if got, end := b.state(); got != 1 || !end || tr.Dropped() > 0 {
			t.Errorf("the second got %d, closed: %v, %d dropped", got, end, tr.Dropped())
		}
	})
}
