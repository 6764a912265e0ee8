package main

import (
	"context"
	"fmt"
	"time"

	"github.com/sluice-proxy/sluice/bench/internal/load"
	"github.com/sluice-proxy/sluice/bench/internal/origin"
	"github.com/sluice-proxy/sluice/bench/internal/report"
)

// trial is a scenario with one contender; the programs run.
type trial struct {
	dir      string
	target   load.Target // the proxy
	stand    *stand
	app      string // host:port
	duration time.Duration
	crowd    int
	settle   time.Duration
}

// settling is the time from the last byte to the measurement of memory.
const settling = 10 * time.Second

// underLoad measures the proxy's CPU time while do runs, after a warm-up.
func underLoad(do func(context.Context, *trial, time.Duration) (load.Result, error)) func(context.Context, *trial) (report.Sample, error) {
	return func(ctx context.Context, t *trial) (report.Sample, error) {
		if _, err := do(ctx, t, max(time.Second, t.duration/3)); err != nil {
			return report.Sample{}, fmt.Errorf("warm-up: %w", err)
		}
		before, err := t.stand.usage()
		if err != nil {
			return report.Sample{}, err
		}
		r, err := do(ctx, t, t.duration)
		if err != nil {
			return report.Sample{}, err
		}
		after, err := t.stand.usage()
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

// crowd is many connections to a proxy.
type crowd interface {
	Send(ctx context.Context) error
	Receive(ctx context.Context) error
	Exchange(ctx context.Context) error
	Close()
}

// gather opens the connections of a trial, with requests at a time over each of HTTP/2, so that t.crowd requests are sent.
func (t *trial) gather(ctx context.Context, requests int) (crowd, error) {
	if t.target.Protocol == load.HTTP1 {
		return load.Gather(ctx, t.target, t.crowd)
	}
	return load.GatherStreams(ctx, t.target, t.crowd/requests, requests)
}

// held sends requests that the app holds until Release, measures the memory while they wait, and checks that all are answered
// afterwards.
func held(requests int) func(ctx context.Context, t *trial) (report.Sample, error) {
	return func(ctx context.Context, t *trial) (report.Sample, error) {
		return t.occupied(ctx, requests, crowd.Send, func(c crowd, ctx context.Context) error {
			if err := load.Check(ctx, load.Target{Addr: t.app, Path: origin.Release, Protocol: load.HTTP1}); err != nil {
				return err
			}
			return c.Receive(ctx)
		})
	}
}

// idle sends a request over each connection, measures the memory while they are idle, and checks that all still work.
func idle(ctx context.Context, t *trial) (report.Sample, error) {
	return t.occupied(ctx, 1, crowd.Exchange, crowd.Exchange)
}

// occupied compares the memory before a crowd of connections and after its first step; verify then ends it.
func (t *trial) occupied(ctx context.Context, requests int, begin, verify func(crowd, context.Context) error) (report.Sample, error) {
	if err := pause(ctx, t.settle/10); err != nil { // a Go program returns memory just after its start
		return report.Sample{}, err
	}
	before, err := t.stand.usage()
	if err != nil {
		return report.Sample{}, err
	}
	c, err := t.gather(ctx, requests)
	if err != nil {
		return report.Sample{}, err
	}
	defer c.Close()
	if err := begin(c, ctx); err != nil {
		return report.Sample{}, err
	}
	if err := pause(ctx, t.settle); err != nil {
		return report.Sample{}, err
	}
	after, err := t.stand.usage()
	if err != nil {
		return report.Sample{}, err
	}
	if err := verify(c, ctx); err != nil {
		return report.Sample{}, fmt.Errorf("after the wait: %w", err)
	}
	return report.Sample{
		PerConnection: float64(after.Resident-before.Resident) / float64(t.crowd/requests*requests), Resident: after.Resident,
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
