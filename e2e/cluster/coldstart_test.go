package cluster_test

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"sync"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/client-go/informers"
	"k8s.io/client-go/tools/cache"
)

var coldStartCases = []testCase{
	{name: "cold start: the app listens at once", run: coldStarts("at-once", nil)},
	{name: "cold start: the app listens a second later", long: true, run: coldStarts("later", map[string]string{"LISTEN_AFTER": "1s"})},
}

const starts = 10

// coldStarts starts services from zero, one after the other, and returns the medians of the time from the app's listen() to
// the client's first byte, and of its parts. The clocks of client and pods have to agree.
func coldStarts(name string, env map[string]string) func(context.Context, *world) (string, error) {
	return func(ctx context.Context, w *world) (string, error) {
		known, err := w.watchAddresses(ctx)
		defer known.stop()
		if err != nil {
			return "", err
		}
		all, err := w.deployMany(ctx, starts, service{name: name, env: env})
		if err != nil {
			return "", err
		}
		var parts coldStartParts
		for _, r := range all {
			begun := time.Now()
			a, err := r.ok(ctx, "/")
			if err != nil {
				return "", err
			}
			parts.add(begun, a, known.since(r))
		}
		return parts.figure(), nil
	}
}

// coldStartParts are the durations of the parts, one of each per start.
type coldStartParts struct {
	toListen  []time.Duration // from the request to the app's listen()
	toAddress []time.Duration // from listen() until Kubernetes has published the pod's address, if that is later
	toApp     []time.Duration // from the later of the two until the request is in the app: the data plane's part
	toByte    []time.Duration // from the request's arrival in the app to the client's first byte
	early     int             // requests that were in the app before the address was published
	whole     []time.Duration // from listen() to the first byte
}

func (p *coldStartParts) add(begun time.Time, a *answer, known time.Time) {
	listened, entered := moment(a, "X-Listen-At"), moment(a, "X-Entered-At")
	possible := listened
	switch {
	case known.IsZero() || known.After(entered):
		p.early++
	case known.After(listened):
		possible = known
	}
	p.toListen = append(p.toListen, listened.Sub(begun))
	p.toAddress = append(p.toAddress, possible.Sub(listened))
	p.toApp = append(p.toApp, entered.Sub(possible))
	p.toByte = append(p.toByte, a.firstByte.Sub(entered))
	p.whole = append(p.whole, a.firstByte.Sub(listened))
}

func (p *coldStartParts) figure() string {
	return fmt.Sprintf("**%v** (%v–%v): address %v, in the app %v, back %v; %d before the address; listen() after %v",
		round(p.whole, 50), round(p.whole, 0), round(p.whole, 100),
		round(p.toAddress, 50), round(p.toApp, 50), round(p.toByte, 50), p.early, round(p.toListen, 50))
}

func moment(a *answer, header string) time.Time {
	ns, _ := strconv.ParseInt(a.header.Get(header), 10, 64)
	return time.Unix(0, ns)
}

func round(all []time.Duration, p int) time.Duration {
	d := percentile(all, p)
	if d > 20*time.Millisecond {
		return d.Round(time.Millisecond)
	}
	return d.Round(10 * time.Microsecond)
}

// deployMany deploys n services of the same kind at once.
func (w *world) deployMany(ctx context.Context, n int, s service) ([]*revision, error) {
	all, errs := make([]*revision, n), make([]error, n)
	var done sync.WaitGroup
	for i := range n {
		one := s
		one.name = fmt.Sprint(s.name, "-", i)
		done.Go(func() { all[i], errs[i] = w.deploy(ctx, one) })
	}
	done.Wait()
	return all, errors.Join(errs...)
}

// addresses records when each revision of a namespace first had a pod with an address.
type addresses struct {
	stop func()

	mu    sync.Mutex
	first map[string]time.Time
}

func (w *world) watchAddresses(ctx context.Context) (*addresses, error) {
	ctx, cancel := context.WithCancel(ctx)
	a := &addresses{first: map[string]time.Time{}}
	factory := informers.NewSharedInformerFactoryWithOptions(w, 0, informers.WithNamespace(w.namespace))
	pods := factory.Core().V1().Pods().Informer()
	_, err := pods.AddEventHandler(cache.ResourceEventHandlerFuncs{
		AddFunc:    func(object any) { a.saw(object, time.Now()) },
		UpdateFunc: func(_, object any) { a.saw(object, time.Now()) },
	})
	factory.Start(ctx.Done())
	a.stop = func() {
		cancel()
		factory.Shutdown()
	}
	if !cache.WaitForCacheSync(ctx.Done(), pods.HasSynced) {
		err = errors.Join(err, ctx.Err())
	}
	return a, err
}

func (a *addresses) saw(object any, at time.Time) {
	pod, ok := object.(*corev1.Pod)
	if !ok || pod.Status.PodIP == "" {
		return
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	if name := pod.Labels["serving.knative.dev/revision"]; a.first[name].IsZero() {
		a.first[name] = at
	}
}

// since returns the time when the address of the revision's pod was published.
func (a *addresses) since(r *revision) time.Time {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.first[r.name]
}
