package kube

import (
	"context"
	"errors"
	"math/rand/v2"
	"sync/atomic"
	"time"

	"go.uber.org/zap"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	utilnet "k8s.io/apimachinery/pkg/util/net"
	"k8s.io/apimachinery/pkg/util/wait"
	"k8s.io/apimachinery/pkg/watch"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/cache"
)

const (
	// firstPause and maxPause bound the back-off after failures. An activator watches few kinds, so it may retry sooner
	// than client-go, which waits for up to 30 s.
	firstPause = 100 * time.Millisecond
	maxPause   = 3 * time.Second
	// steadyAfter is how long a watch has to last for the back-off to be reset.
	steadyAfter = 30 * time.Second
)

// resource selects the objects to list and watch.
type resource struct {
	client                    rest.Interface
	name                      string // in the path
	namespace, labels, fields string // selectors; empty: all
	example                   runtime.Object
}

// watcher keeps a store up to date with a resource.
type watcher struct {
	resource
	relist    time.Duration
	log       *zap.Logger // limited, see seldom
	reflector *cache.Reflector
	pause     time.Duration // after the last round
	failing   atomic.Bool
}

func newWatcher(r resource, s *store, relist time.Duration, log *zap.Logger) *watcher {
	w := &watcher{resource: r, relist: relist, log: log}
	w.reflector = cache.NewReflectorWithOptions(w.listWatch(), r.example, s, cache.ReflectorOptions{
		Name: r.name,
		// Applies to a watch that resumes without a list.
		Backoff: &wait.Backoff{Duration: firstPause, Factor: 2, Jitter: 0.5, Steps: 16, Cap: maxPause},
	})
	return w
}

// run keeps the store up to date until ctx ends.
func (w *watcher) run(ctx context.Context) {
	for ctx.Err() == nil {
		_ = w.round(ctx)
	}
}

// round lists and watches until the watch fails, the next list is due or ctx ends, and then pauses. It logs the error
// that it returns.
func (w *watcher) round(ctx context.Context) error {
	// The random part keeps activators that were started together from listing together.
	round, cancel := context.WithTimeout(ctx, w.relist-rand.N(w.relist/10+1))
	defer cancel()
	began := time.Now()
	err := w.reflector.ListAndWatchWithContext(round)
	if ctx.Err() != nil {
		return nil
	}
	if err != nil {
		w.failed(err)
	}
	if round.Err() != nil { // the next list is due
		w.pause = 0
		return err
	}
	w.pause = min(2*w.pause, maxPause)
	if w.pause == 0 || time.Since(began) > steadyAfter {
		w.pause = firstPause
	}
	sleep(ctx, w.pause+rand.N(w.pause/2))
	return err
}

// listed reports whether a list has succeeded.
func (w *watcher) listed() bool { return w.reflector.LastSyncResourceVersion() != "" }

func sleep(ctx context.Context, d time.Duration) {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-ctx.Done():
	case <-t.C:
	}
}

func (w *watcher) failed(err error) {
	w.failing.Store(true)
	w.log.Warn("can't watch "+w.name+"; keeping the current state", zap.Error(err))
}

func (w *watcher) succeeded() {
	if w.failing.Swap(false) {
		w.log.Info("watching " + w.name + " again")
	}
}

func (w *watcher) listWatch() *cache.ListWatch {
	return &cache.ListWatch{
		ListWithContextFunc: func(ctx context.Context, o metav1.ListOptions) (runtime.Object, error) {
			return w.request(&o).Do(ctx).Get()
		},
		WatchFuncWithContext: func(ctx context.Context, o metav1.ListOptions) (watch.Interface, error) {
			o.Watch = true
			events, err := w.request(&o).Watch(ctx)
			if err == nil {
				w.succeeded()
				return events, nil
			}
			if ctx.Err() != nil || !utilnet.IsConnectionRefused(err) && !apierrors.IsTooManyRequests(err) {
				return nil, err
			}
			// The reflector retries these itself without logging. During a streamed list its pause ignores the context:
			// hide the kind of the error from it there.
			if o.SendInitialEvents != nil && *o.SendInitialEvents {
				return nil, errors.New(err.Error())
			}
			w.failed(err)
			return nil, err
		},
	}
}

func (w *watcher) request(o *metav1.ListOptions) *rest.Request {
	o.LabelSelector, o.FieldSelector = w.labels, w.fields
	return w.client.Get().Namespace(w.namespace).Resource(w.name).VersionedParams(o, metav1.ParameterCodec)
}
