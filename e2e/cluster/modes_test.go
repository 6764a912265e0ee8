package cluster_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"
)

var modeCases = []testCase{
	{name: "Proxy mode under load", run: steadyMode("proxied", "-1", "activator")},
	{name: "Serve mode under load", run: steadyMode("served", "0", "")},
	{name: "moving between Proxy and Serve mode under load", long: true, run: movingModes},
}

// steadyMode puts the full load on a revision that its target burst capacity keeps in one mode.
func steadyMode(name, burst, via string) func(context.Context, *world) (string, error) {
	return func(ctx context.Context, w *world) (string, error) {
		w.load.Lock()
		defer w.load.Unlock()
		r, err := w.deploy(ctx, service{name: name, pods: 2, annotations: map[string]string{"target-burst-capacity": burst}})
		if err == nil {
			err = r.inMode(ctx, via)
		}
		if err != nil {
			return "", err
		}
		t := load{to: r, path: "/", conns: options.conns, rate: options.rate}.run(ctx, 6*time.Second)
		if t.failed == 0 && t.via[via] != t.total {
			return t.figure(), fmt.Errorf("requests came through another component: %v", t.via)
		}
		return t.figure(), t.none()
	}
}

// inMode waits until the public Service leads to activators ("activator") or to the pods (""), and new connections do too.
func (r *revision) inMode(ctx context.Context, via string) error {
	return eventually(ctx, 40*time.Second, fmt.Sprintf("mode %q", via), func() error {
		public, err := r.endpoints(ctx, r.name)
		if err != nil {
			return err
		}
		private, err := r.endpoints(ctx, r.name+"-private")
		if err != nil {
			return err
		}
		served := len(public) > 0 && !slices.ContainsFunc(public, func(a string) bool { return !slices.Contains(private, a) })
		if served != (via == "") {
			return fmt.Errorf("public %v, private %v", public, private)
		}
		a, err := r.ok(ctx, "/")
		if err == nil && a.header.Get("X-Via") != via {
			err = fmt.Errorf("a request came through %q", a.header.Get("X-Via"))
		}
		return err
	})
}

func movingModes(ctx context.Context, w *world) (string, error) {
	w.load.Lock()
	defer w.load.Unlock()
	r, err := w.deploy(ctx, service{name: "moving", pods: 2, annotations: map[string]string{"target-burst-capacity": "-1"}})
	if err != nil {
		return "", err
	}
	traffic := load{to: r, path: "/", conns: options.conns, rate: options.rate}.begin(ctx)
	err = r.move(ctx, "0", "-1", "0", "-1")
	t := traffic.end()
	figure := fmt.Sprintf("%s, %d by an activator", t.figure(), t.via["activator"])
	if err = errors.Join(err, t.none()); err == nil && (t.via["activator"] == 0 || t.via[""] == 0) {
		err = fmt.Errorf("the requests didn't move: %v", t.via)
	}
	return figure, err
}

// move changes the target burst capacity, and with it the mode, several times.
func (r *revision) move(ctx context.Context, bursts ...string) error {
	for _, burst := range bursts {
		if err := r.annotate(ctx, map[string]string{"autoscaling.knative.dev/target-burst-capacity": burst}); err != nil {
			return err
		}
		via := map[string]string{"0": "", "-1": "activator"}[burst]
		if err := r.inMode(ctx, via); err != nil {
			return err
		}
		time.Sleep(2 * time.Second)
	}
	return nil
}
