package cluster_test

import (
	"context"
	"errors"
	"fmt"
	"os/exec"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

var autoscalerCases = []testCase{
	{name: "autoscaler away: Proxy mode", needs: activator, long: true, run: throughOutage("proxied")},
	{name: "autoscaler away: Serve mode", long: true, run: throughOutage("served")},
	{name: "autoscaler away: a request to zero waits for it", needs: activator, long: true, run: heldUntil(startAutoscaler)},
}

var apiServerCases = []testCase{
	{name: "API server away: Proxy mode", long: true, run: throughOutage("proxied")},
	{name: "API server away: Serve mode", long: true, run: throughOutage("served")},
	{name: "API server away: a request to zero waits for it", long: true, run: heldUntil(startAPIServer)},
}

var backCases = []testCase{{name: "from zero after the outages", long: true, run: fromZero}}

// throughOutage puts a light load on a service during the outage.
func throughOutage(mode string) func(context.Context, *world) (string, error) {
	return func(ctx context.Context, w *world) (string, error) {
		t := load{to: w.shared[mode], path: "/", conns: 16, rate: 100}.run(ctx, options.outage)
		return t.figure(), t.none()
	}
}

// heldUntil sends a request to a service at zero near the end of the outage, and expects the answer afterwards: the control
// plane retries with intervals that double.
func heldUntil(over func(context.Context, *world) error) func(context.Context, *world) (string, error) {
	return func(ctx context.Context, w *world) (string, error) {
		time.Sleep(options.outage * 3 / 4)
		answered := make(chan error, 1)
		var took time.Duration
		go func() {
			a, err := w.shared["zero"].ok(ctx, "/")
			if a != nil {
				took = a.took
			}
			answered <- err
		}()
		select {
		case <-time.After(options.outage / 4):
		case err := <-answered:
			return "", fmt.Errorf("answered after %v, during the outage: %w", took, err)
		}
		ended := time.Now()
		if err := over(ctx, w); err != nil {
			return "", err
		}
		err := <-answered
		return fmt.Sprintf("answered %.0f s after its return", time.Since(ended).Seconds()), err
	}
}

func (w *world) deployForOutage(ctx context.Context) error {
	if err := w.deployModes(ctx); err != nil {
		return err
	}
	r, err := w.deploy(ctx, service{name: "zero"})
	w.shared["zero"] = r
	return err
}

func stopAutoscaler(ctx context.Context, w *world) error {
	if err := w.deployForOutage(ctx); err != nil {
		return err
	}
	if err := w.patchDeployment(ctx, "autoscaler", `{"spec":{"replicas":0}}`); err != nil {
		return err
	}
	now := int64(0)
	return w.CoreV1().Pods(system).DeleteCollection(ctx, metav1.DeleteOptions{GracePeriodSeconds: &now},
		metav1.ListOptions{LabelSelector: "app=autoscaler"})
}

func startAutoscaler(ctx context.Context, w *world) error {
	return w.patchDeployment(ctx, "autoscaler", `{"spec":{"replicas":1}}`)
}

func stopAPIServer(ctx context.Context, w *world) error {
	if options.stopAPI == "" || options.startAPI == "" {
		return fmt.Errorf("%w: no -stop-apiserver and -start-apiserver", errSkip)
	}
	if err := w.deployForOutage(ctx); err != nil {
		return err
	}
	return shell(ctx, options.stopAPI)
}

// startAPIServer also waits until Knative's control plane is back, which restarts when it has lost its leases.
func startAPIServer(ctx context.Context, w *world) error {
	if err := shell(ctx, options.startAPI); err != nil {
		return err
	}
	return eventually(ctx, 2*time.Minute, "Knative's control plane back", func() error {
		var errs []error
		for _, name := range []string{"webhook", "controller", "autoscaler", "activator"} {
			d, err := w.AppsV1().Deployments(system).Get(ctx, name, metav1.GetOptions{})
			if err == nil && d.Status.AvailableReplicas == 0 {
				err = fmt.Errorf("%s: not available", name)
			}
			errs = append(errs, err)
		}
		return errors.Join(errs...)
	})
}

func shell(ctx context.Context, command string) error {
	if out, err := exec.CommandContext(ctx, "sh", "-c", command).CombinedOutput(); err != nil {
		return fmt.Errorf("%s: %w: %s", command, err, out)
	}
	return nil
}

func fromZero(ctx context.Context, w *world) (string, error) {
	r, err := w.deploy(ctx, service{name: "back"})
	if err != nil {
		return "", err
	}
	a, err := r.ok(ctx, "/")
	if err != nil {
		return "", err
	}
	return fmt.Sprintf("after %.1f s", a.took.Seconds()), nil
}
