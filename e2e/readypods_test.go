package e2e

import (
	"context"
	"fmt"
	"path/filepath"
	"slices"
	"sync"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/client-go/dynamic"
	"k8s.io/client-go/tools/clientcmd"
)

// readyPods follows the quickstart's API: which pods are ready, and when that changed.
type readyPods struct {
	kubeconfig string

	mu      sync.Mutex
	now     map[string]bool
	changes []int64 // CLOCK_MONOTONIC
}

// followPods follows the pods until the test ends, also when the quickstart is another one.
func (q *quickstart) followPods(t testing.TB) *readyPods {
	p := &readyPods{kubeconfig: filepath.Join(q.dir, "sluice", "kubeconfig"), now: map[string]bool{}}
	ctx, cancel := context.WithCancel(context.Background())
	var wg sync.WaitGroup
	t.Cleanup(func() { cancel(); wg.Wait() })
	wg.Go(func() {
		for ctx.Err() == nil {
			_ = p.follow(ctx) // it can't while there is no quickstart
			p.changed()
			select {
			case <-ctx.Done():
			case <-time.After(20 * time.Millisecond):
			}
		}
	})
	return p
}

func (p *readyPods) follow(ctx context.Context) error {
	config, err := clientcmd.BuildConfigFromFlags("", p.kubeconfig)
	if err != nil {
		return err
	}
	client, err := dynamic.NewForConfig(config)
	if err != nil {
		return err
	}
	pods := client.Resource(corev1.SchemeGroupVersion.WithResource("pods")).Namespace("default")
	list, err := pods.List(ctx, metav1.ListOptions{})
	if err != nil {
		return err
	}
	all := map[string]bool{}
	for _, o := range list.Items {
		if all[o.GetName()], err = isReady(o.Object); err != nil {
			return err
		}
	}
	p.mu.Lock()
	p.now = all
	p.mu.Unlock()
	p.changed()
	w, err := pods.Watch(ctx, metav1.ListOptions{ResourceVersion: list.GetResourceVersion()})
	if err != nil {
		return err
	}
	defer w.Stop()
	for e := range w.ResultChan() {
		o, ok := e.Object.(interface {
			metav1.Object
			UnstructuredContent() map[string]any
		})
		if !ok {
			return fmt.Errorf("the watch of pods: %v", e.Object)
		}
		ready, err := isReady(o.UnstructuredContent())
		if err != nil {
			return err
		}
		p.note(o.GetName(), ready && e.Type != "DELETED")
	}
	return nil
}

func isReady(o map[string]any) (bool, error) {
	var pod corev1.Pod
	if err := runtime.DefaultUnstructuredConverter.FromUnstructured(o, &pod); err != nil {
		return false, err
	}
	return pod.DeletionTimestamp == nil && slices.ContainsFunc(pod.Status.Conditions, func(c corev1.PodCondition) bool {
		return c.Type == corev1.PodReady && c.Status == corev1.ConditionTrue
	}), nil
}

func (p *readyPods) note(name string, ready bool) {
	p.mu.Lock()
	before := p.now[name]
	p.now[name] = ready
	p.mu.Unlock()
	if before != ready {
		p.changed()
	}
}

// changed says that the set of pods is another one from now on.
func (p *readyPods) changed() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.changes = append(p.changes, monotonic())
}

func (p *readyPods) count() (n int) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, ready := range p.now {
		if ready {
			n++
		}
	}
	return n
}

// aroundChange is how long before and after a change the set of pods doesn't count as stable: the activator probes pods by itself, and may
// know of a change before or after the API.
const aroundChange = 500 * time.Millisecond

// stable tells whether the set was the same one from one time to another.
func (p *readyPods) stable(from, to int64) bool {
	i, _ := slices.BinarySearch(p.changes, from-int64(aroundChange))
	return i == len(p.changes) || p.changes[i] > to+int64(aroundChange)
}
