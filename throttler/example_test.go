package throttler_test

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/sluice-proxy/sluice/throttler"
)

func ExampleBreaker() {
	b := throttler.NewBreaker(1, 0) // one at a time, nobody waits
	ctx := context.Background()

	if err := b.Acquire(ctx); err == nil {
		fmt.Println("in")
	}
	if err := b.Acquire(ctx); errors.Is(err, throttler.ErrQueueFull) {
		fmt.Println("full, come back in", b.RetryAfter())
	}
	b.Release()
	// Output:
	// in
	// full, come back in 1s
}

func ExampleThrottler() {
	t, err := throttler.New(throttler.Config{})
	if err != nil {
		fmt.Println(err)
		return
	}
	hello := throttler.RevisionID{Namespace: "default", Name: "hello-world"}
	t.SetRevision(hello, throttler.RevisionConfig{})

	// The request waits: there is no pod yet. Then one comes up.
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	time.AfterFunc(time.Millisecond, func() {
		t.SetBackends(hello, []throttler.Backend{{ID: "pod-uid", Addr: "10.0.0.7:8012", Slots: 1, Own: true}})
	})
	lease, err := t.Acquire(ctx, throttler.Demand{Revision: hello})
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println("forward to", lease.Addr())
	lease.Release(throttler.OK)
	// Output: forward to 10.0.0.7:8012
}

func ExampleShare() {
	pods := []string{"pod-a", "pod-b", "pod-c", "pod-d"}
	fmt.Println(throttler.Share(pods, []string{"10.0.0.1", "10.0.0.2"}, "10.0.0.2"))
	// Output: [false false true true]
}
