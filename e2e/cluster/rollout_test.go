package cluster_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

var rolloutCases = []testCase{
	{name: "two activators under load, one restarted", needs: activator, long: true, run: activatorRestarted},
	{name: "two activators under load, one killed (clients retry)", long: true, run: activatorKilled},
	{name: "a new queue-proxy image rolled out under load", needs: both, long: true, run: queueRolledOut},
}

// deployPair makes a second activator and a service for each mode.
func deployPair(ctx context.Context, w *world) error {
	if err := w.scaleActivators(ctx, 2); err != nil {
		return err
	}
	return w.deployModes(ctx)
}

func oneActivator(ctx context.Context, w *world) error { return w.scaleActivators(ctx, 1) }

func (k *kube) scaleActivators(ctx context.Context, n int) error {
	return k.patchDeployment(ctx, "activator", fmt.Sprintf(`{"spec":{"replicas":%d}}`, n))
}

// deployModes deploys two services that cases share: "proxied" stays in Proxy mode, "served" in Serve mode.
func (w *world) deployModes(ctx context.Context) error {
	for _, m := range []struct{ name, burst, via string }{{"proxied", "-1", "activator"}, {"served", "0", ""}} {
		r, err := w.deploy(ctx, service{name: m.name, pods: 2, annotations: map[string]string{"target-burst-capacity": m.burst}})
		if err == nil {
			err = r.inMode(ctx, m.via)
		}
		if err != nil {
			return err
		}
		w.shared[m.name] = r
	}
	return nil
}

func (w *world) proxied(tries int) load {
	return load{to: w.shared["proxied"], path: "/", conns: options.conns, rate: options.rate, tries: tries}
}

func activatorRestarted(ctx context.Context, w *world) (string, error) {
	t, err := w.loseActivator(ctx, w.proxied(1), metav1.DeleteOptions{})
	return t.figure(), errors.Join(err, t.none())
}

// activatorKilled kills an activator. Its connections break, and for a moment the Service still leads to it, so that an ingress
// has to retry.
func activatorKilled(ctx context.Context, w *world) (string, error) {
	now := int64(0)
	t, err := w.loseActivator(ctx, w.proxied(5), metav1.DeleteOptions{GracePeriodSeconds: &now})
	return t.figure(), errors.Join(err, t.none())
}

func (w *world) loseActivator(ctx context.Context, l load, how metav1.DeleteOptions) (tally, error) {
	traffic := l.begin(ctx)
	time.Sleep(2 * time.Second)
	pods, err := w.activators(ctx)
	if err == nil && len(pods) != 2 {
		err = fmt.Errorf("%d activators", len(pods))
	}
	if err == nil {
		err = w.CoreV1().Pods(system).Delete(ctx, pods[0].Name, how)
	}
	if err == nil {
		err = w.replaced(ctx, pods[0])
	}
	time.Sleep(2 * time.Second)
	return traffic.end(), err
}

// replaced waits until an activator has ended, drained or not, and another one is ready.
func (w *world) replaced(ctx context.Context, old corev1.Pod) error {
	err := eventually(ctx, 90*time.Second, old.Name+" gone", func() error {
		_, err := w.CoreV1().Pods(system).Get(ctx, old.Name, metav1.GetOptions{})
		if err == nil {
			return errors.New("still there")
		}
		return gone(err)
	})
	if err != nil {
		return err
	}
	return w.rolledOut(ctx, "activator")
}

// queueRolledOut configures another name of the same image, so that every pod is replaced, and then the previous name.
func queueRolledOut(ctx context.Context, w *world) (string, error) {
	i := w.images()
	if i.queueNext == "" {
		return "", fmt.Errorf("%w: no second name of the queue-proxy's image is given", errSkip)
	}
	half := func(mode string) load {
		return load{to: w.shared[mode], path: "/", conns: options.conns / 2, rate: options.rate / 2}
	}
	proxied, served := half("proxied").begin(ctx), half("served").begin(ctx)
	err := w.configure(ctx, "config-deployment", map[string]string{"queue-sidecar-image": i.queueNext})
	for _, mode := range []string{"proxied", "served"} {
		err = errors.Join(err, w.shared[mode].allRun(ctx, i.queueNext))
	}
	time.Sleep(2 * time.Second)
	p, s := proxied.end(), served.end()
	err = errors.Join(err, w.configure(ctx, "config-deployment", map[string]string{"queue-sidecar-image": i.queue}))
	return fmt.Sprintf("Proxy: %s; Serve: %s", p.figure(), s.figure()), errors.Join(err, p.none(), s.none())
}

// allRun waits until all of a revision's pods have the image and the old ones have ended.
func (r *revision) allRun(ctx context.Context, image string) error {
	return eventually(ctx, 100*time.Second, r.name+" with the new image", func() error {
		list, err := r.kube.CoreV1().Pods(r.namespace).List(ctx, metav1.ListOptions{LabelSelector: "serving.knative.dev/revision=" + r.name})
		if err != nil {
			return err
		}
		var old []string
		for _, p := range list.Items {
			for _, c := range p.Spec.Containers {
				if c.Name == "queue-proxy" && c.Image != image {
					old = append(old, p.Name)
				}
			}
		}
		if len(old) > 0 || len(list.Items) < 2 {
			return fmt.Errorf("%d pods, old: %s", len(list.Items), strings.Join(old, " "))
		}
		return nil
	})
}
