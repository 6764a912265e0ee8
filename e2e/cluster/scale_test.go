package cluster_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"time"
)

var scaleCases = []testCase{
	{name: "0→1→N→0, containerConcurrency 0", long: true, run: scaling("cc0", 0, 24)},
	{name: "0→1→N→0, containerConcurrency 1", run: scaling("cc1", 1, 6)},
	{name: "0→1→N→0, containerConcurrency 10", long: true, run: scaling("cc10", 10, 40)},
	{name: "containerConcurrency never exceeded while pods flap", needs: both, long: true, run: neverExceeded},
}

// scaling scales a service from zero to one pod, to several, and back to zero, then sends one more request.
func scaling(name string, concurrency int64, clients int) func(context.Context, *world) (string, error) {
	return func(ctx context.Context, w *world) (string, error) {
		r, err := w.deploy(ctx, service{name: name, concurrency: concurrency, annotations: perPod(concurrency)})
		if err != nil {
			return "", err
		}
		if _, err := r.ok(ctx, "/"); err != nil {
			return "", fmt.Errorf("the first request: %w", err)
		}
		traffic := load{to: r, path: "/?sleep=200ms", conns: clients}.begin(ctx)
		err = scaledBeyondOne(ctx, r)
		t := traffic.end()
		figure := fmt.Sprintf("%d of %d failed, %d pods answered", t.failed, t.total, len(t.pods))
		if err = errors.Join(err, t.none()); err != nil {
			return figure, err
		}
		if concurrency > 0 && t.inFlight > int(concurrency) {
			return figure, fmt.Errorf("%d in flight in one pod", t.inFlight)
		}
		if err := r.scaledTo(ctx, 0, time.Minute); err != nil {
			return figure, err
		}
		if _, err := r.ok(ctx, "/"); err != nil {
			return figure, fmt.Errorf("after scale to zero: %w", err)
		}
		return figure, nil
	}
}

// perPod is the target by which a revision without a limit scales out.
func perPod(concurrency int64) map[string]string {
	if concurrency == 0 {
		return map[string]string{"target": "5"}
	}
	return nil
}

// scaledBeyondOne waits until several pods are ready, and lets the load run for some seconds more.
func scaledBeyondOne(ctx context.Context, r *revision) error {
	err := eventually(ctx, 45*time.Second, "several pods", func() error {
		ready, err := r.endpoints(ctx, r.name+"-private")
		if err == nil && len(ready) < 2 {
			err = fmt.Errorf("%d ready", len(ready))
		}
		return err
	})
	if err == nil {
		time.Sleep(3 * time.Second)
	}
	return err
}

// neverExceeded makes pods unready and ready again while there are more requests than slots.
func neverExceeded(ctx context.Context, w *world) (string, error) {
	const limit, flaps = 2, 4
	r, err := w.deploy(ctx, service{
		name: "flap", pods: 3, concurrency: limit, readiness: httpProbe("/ready", 1),
		annotations: map[string]string{"target-burst-capacity": "-1"},
	})
	if err != nil {
		return "", err
	}
	traffic := load{to: r, path: "/?sleep=30ms", conns: 12}.begin(ctx)
	err = flap(ctx, r, flaps)
	t := traffic.end()
	most := t.inFlight
	pods, listed := r.pods(ctx)
	for _, p := range pods {
		if s, err := statsOf(ctx, p); err == nil {
			most = max(most, s.Max)
		}
	}
	figure := fmt.Sprintf("at most %d of %d in flight, %d of %d failed", most, limit, t.failed, t.total)
	if most > limit {
		return figure, fmt.Errorf("%d in flight with a limit of %d", most, limit)
	}
	return figure, errors.Join(err, listed, t.none())
}

func flap(ctx context.Context, r *revision, times int) error {
	for i := range times {
		pods, err := r.pods(ctx)
		if err != nil || len(pods) == 0 {
			return fmt.Errorf("no pods to flap: %w", err)
		}
		resp, err := direct(ctx, pods[i%len(pods)], "/unready?for=2s")
		if err != nil {
			return err
		}
		_ = resp.Body.Close()
		if resp.StatusCode != http.StatusOK {
			return errors.New(resp.Status)
		}
		time.Sleep(4 * time.Second)
	}
	return nil
}
