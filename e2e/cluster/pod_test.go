package cluster_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"sync"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

var podCases = []testCase{
	{name: "pod deleted mid-request: all is answered", needs: both, long: true, run: podDeleted},
	{name: "pod killed mid-request: only what was in it fails", needs: both, long: true, run: podKilled},
	{name: "app dies mid-request: the rest goes on", needs: both, run: appDies},
}

// podDeleted deletes a pod that has requests, under load, so that it drains.
func podDeleted(ctx context.Context, w *world) (string, error) {
	return losePod(ctx, w, service{name: "deleted"}, 0, func(p corev1.Pod) error {
		return w.CoreV1().Pods(p.Namespace).Delete(ctx, p.Name, metav1.DeleteOptions{})
	})
}

// podKilled ends a pod without a grace period.
func podKilled(ctx context.Context, w *world) (string, error) {
	now := int64(0)
	return losePod(ctx, w, service{name: "killed"}, 1, func(p corev1.Pod) error {
		return w.CoreV1().Pods(p.Namespace).Delete(ctx, p.Name, metav1.DeleteOptions{GracePeriodSeconds: &now})
	})
}

func appDies(ctx context.Context, w *world) (string, error) {
	return losePod(ctx, w, service{name: "dies"}, 1, func(p corev1.Pod) error {
		resp, err := direct(ctx, p, "/die")
		if err == nil {
			_ = resp.Body.Close()
			err = errors.New("the app answered " + resp.Status)
		} else {
			err = nil // the killed pod can't answer
		}
		return err
	})
}

// losePod starts long POSTs, which may not be retried, and short GETs on two pods, and ends one of the pods. Only requests in
// that pod may be lost (times perPod), including a GET of each connection, and each loss must be reported at once.
func losePod(ctx context.Context, w *world, s service, perPod int, end func(corev1.Pod) error) (string, error) {
	const held, conns = 10 * time.Second, 4
	s.pods, s.concurrency, s.annotations = 2, 10, map[string]string{"target-burst-capacity": "-1"}
	r, err := w.deploy(ctx, s)
	if err != nil {
		return "", err
	}
	traffic := load{to: r, path: "/", conns: conns, rate: 50}.begin(ctx)
	long := r.post(ctx, 8, held)
	pod, inside, err := r.busiest(ctx, 8)
	if err == nil {
		err = end(pod)
	}
	ended := time.Now()
	failed, last := long.wait()
	if left := 12*time.Second - time.Since(ended); left > 0 {
		time.Sleep(left) // the replacement starts meanwhile
	}
	t := traffic.end()
	figure := fmt.Sprintf("%d of %d in it failed, %d of %d others", failed, inside, t.failed, t.total)
	if t.failed > conns*perPod || t.total == 0 {
		err = errors.Join(err, t.none())
	}
	if err != nil {
		return figure, err
	}
	if failed > inside*perPod {
		return figure, fmt.Errorf("%d failed, %d were in the pod: %w", failed, inside, long.err())
	}
	if after := last.Sub(ended); failed > 0 && after > 7*time.Second {
		return figure, fmt.Errorf("the failure came only after %v", after)
	}
	return figure, nil
}

// posts are long requests in progress.
type posts struct {
	done sync.WaitGroup
	mu   sync.Mutex
	errs []error
	last time.Time // of the last failure
}

func (r *revision) post(ctx context.Context, n int, held time.Duration) *posts {
	p := new(posts)
	for range n {
		p.done.Go(func() {
			a, err := r.send(ctx, http.MethodPost, "/?sleep="+held.String(), http.NoBody)
			if err == nil {
				err = a.want(http.StatusOK)
			}
			if err != nil {
				p.mu.Lock()
				defer p.mu.Unlock()
				p.errs, p.last = append(p.errs, err), time.Now()
			}
		})
	}
	return p
}

func (p *posts) wait() (failed int, last time.Time) {
	p.done.Wait()
	return len(p.errs), p.last
}

func (p *posts) err() error { return errors.Join(p.errs...) }

// busiest waits until the revision's apps have n requests, and returns the pod with most of them.
func (r *revision) busiest(ctx context.Context, n int) (busiest corev1.Pod, inside int, err error) {
	err = eventually(ctx, 20*time.Second, "requests in the pods", func() error {
		pods, err := r.pods(ctx)
		if err != nil {
			return err
		}
		sum := 0
		inside = 0
		for _, p := range pods {
			s, err := statsOf(ctx, p)
			if err != nil {
				return err
			}
			if sum += s.InFlight; s.InFlight > inside {
				busiest, inside = p, s.InFlight
			}
		}
		if sum < n {
			return fmt.Errorf("%d of %d", sum, n)
		}
		return nil
	})
	return busiest, inside, err
}
