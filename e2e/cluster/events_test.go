package cluster_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	cloudevents "github.com/cloudevents/sdk-go/v2"
	"github.com/cloudevents/sdk-go/v2/binding"
	cehttp "github.com/cloudevents/sdk-go/v2/protocol/http"
)

var eventCases = []testCase{
	{name: "CloudEvents in binary mode to a service at zero", run: delivered("binary", binding.WithForceBinary)},
	{name: "CloudEvents in structured mode to a service at zero", run: delivered("structured", binding.WithForceStructured)},
}

// delivered sends concurrent events to a service without pods, which refuses every third event at its first delivery. The
// sender retries, and at the end the app must have all of them.
func delivered(mode string, force func(context.Context) context.Context) func(context.Context, *world) (string, error) {
	return func(ctx context.Context, w *world) (string, error) {
		const events = 30
		r, err := w.deploy(ctx, service{name: "events-" + mode, annotations: map[string]string{
			"max-scale": "1", "scale-to-zero-pod-retention-period": "30s",
		}})
		if err != nil {
			return "", err
		}
		http, err := cehttp.New(cehttp.WithTarget(r.url("/events?refuse=3")), cehttp.WithRoundTripper(toRevision{r, r.transport()}))
		if err != nil {
			return "", err
		}
		c, err := cloudevents.NewClient(http)
		if err != nil {
			return "", err
		}
		ctx = cloudevents.ContextWithRetriesExponentialBackoff(force(ctx), 50*time.Millisecond, 8)
		if err := sendEvents(ctx, c, events); err != nil {
			return "", err
		}
		return fmt.Sprintf("%d of %d arrived", events, events), r.hasEvents(ctx, events)
	}
}

func sendEvents(ctx context.Context, c cloudevents.Client, n int) error {
	results := make(chan error, n)
	for i := range n {
		go func() {
			e := cloudevents.NewEvent()
			e.SetID(eventID(i))
			e.SetSource("sluice/e2e")
			e.SetType("dev.sluice.e2e")
			if err := e.SetData(cloudevents.ApplicationJSON, i); err != nil {
				results <- err
				return
			}
			if result := c.Send(ctx, e); !cloudevents.IsACK(result) {
				results <- fmt.Errorf("event %d: %w", i, result)
				return
			}
			results <- nil
		}()
	}
	var errs []error
	for range n {
		errs = append(errs, <-results)
	}
	return errors.Join(errs...)
}

func eventID(i int) string { return fmt.Sprintf("event-%03d", i) }

func (r *revision) hasEvents(ctx context.Context, n int) error {
	var s stats
	// The answers may come before Kubernetes has published the address of the pod.
	err := eventually(ctx, 10*time.Second, "the app asked", func() error {
		pods, err := r.pods(ctx)
		if err != nil || len(pods) != 1 {
			return fmt.Errorf("%d pods (%w)", len(pods), err)
		}
		s, err = statsOf(ctx, pods[0])
		return err
	})
	if err != nil {
		return err
	}
	for i := range n {
		if !slices.Contains(s.Events, eventID(i)) {
			return fmt.Errorf("%s did not arrive; %d of %d did", eventID(i), len(s.Events), n)
		}
	}
	return nil
}
