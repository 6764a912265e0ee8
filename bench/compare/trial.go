package main

import (
	"context"
	"fmt"
	"time"

	"github.com/sluice-proxy/sluice/bench/internal/load"
	"github.com/sluice-proxy/sluice/bench/internal/origin"
	"github.com/sluice-proxy/sluice/bench/internal/process"
	"github.com/sluice-proxy/sluice/bench/internal/report"
)

// trial is a scenario with one contender; the programs run.
type trial struct {
	dir      string
	target   load.Target // the proxy
	proxy    *process.Process
	app      string // host:port
	duration time.Duration
	crowd    int
}

// settle is the time from the last byte to the measurement of memory.
const settle = 10 * time.Second

// underLoad measures the proxy's CPU time while do runs, after a warm-up.
func underLoad(do func(context.Context, *trial, time.Duration) (load.Result, error)) func(context.Context, *trial) (report.Sample, error) {
	return func(ctx context.Context, t *trial) (report.Sample, error) {
		if _, err := do(ctx, t, max(time.Second, t.duration/3)); err != nil {
			return report.Sample{}, fmt.Errorf("warm-up: %w", err)
		}
		before, err := t.proxy.Usage()
		if err != nil {
			return report.Sample{}, err
		}
		r, err := do(ctx, t, t.duration)
		if err != nil {
			return report.Sample{}, err
		}
		after, err := t.proxy.Usage()
		if err != nil {
			return report.Sample{}, err
		}
		return sample(r, after.CPU-before.CPU, after.Resident), nil
	}
}

func sample(r load.Result, cpu time.Duration, resident int64) report.Sample {
	s := report.Sample{
		Requests: float64(r.Requests) / r.Elapsed.Seconds(),
		CPU:      float64(cpu.Microseconds()) / float64(r.Requests),
		P50:      r.P50, P99: r.P99, P999: r.P999, Resident: resident,
	}
	if r.Bytes > 0 {
		s.Bytes = float64(r.Bytes) / r.Elapsed.Seconds()
		s.CPUPerGiB = float64(cpu.Microseconds()) / 1000 / (float64(r.Bytes) / gib)
	}
	return s
}

// held sends requests that the app holds until Release, measures the memory while they wait, and checks that all are answered
// afterwards.
func held(ctx context.Context, t *trial) (report.Sample, error) {
	return t.occupied(ctx, func(c *load.Crowd) error { return c.Send(ctx) }, func(c *load.Crowd) error {
		if err := load.Check(ctx, load.Target{Addr: t.app, Path: origin.Release, Protocol: load.HTTP1}); err != nil {
			return err
		}
		return c.Receive(ctx)
	})
}

// idle sends a request over each connection, measures the memory while they are idle, and checks that all still work.
func idle(ctx context.Context, t *trial) (report.Sample, error) {
	exchange := func(c *load.Crowd) error { return c.Exchange(ctx) }
	return t.occupied(ctx, exchange, exchange)
}

// occupied compares the memory before a crowd of connections and after its first step; verify then ends it.
func (t *trial) occupied(ctx context.Context, begin, verify func(*load.Crowd) error) (report.Sample, error) {
	if err := pause(ctx, time.Second); err != nil { // a Go program returns memory just after its start
		return report.Sample{}, err
	}
	before, err := t.proxy.Usage()
	if err != nil {
		return report.Sample{}, err
	}
	c, err := load.Gather(ctx, t.target, t.crowd)
	if err != nil {
		return report.Sample{}, err
	}
	defer c.Close()
	if err := begin(c); err != nil {
		return report.Sample{}, err
	}
	if err := pause(ctx, settle); err != nil {
		return report.Sample{}, err
	}
	after, err := t.proxy.Usage()
	if err != nil {
		return report.Sample{}, err
	}
	if err := verify(c); err != nil {
		return report.Sample{}, fmt.Errorf("after the wait: %w", err)
	}
	return report.Sample{
		PerConnection: float64(after.Resident-before.Resident) / float64(t.crowd), Resident: after.Resident,
	}, nil
}

func pause(ctx context.Context, d time.Duration) error {
	select {
	case <-time.After(d):
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}
