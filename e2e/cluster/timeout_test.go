package cluster_test

import (
	"context"
	"fmt"
	"net/http"
	"strings"
	"time"
)

var timeoutCases = []testCase{
	{name: "timeout of the whole request", run: gatewayTimeout(service{name: "whole", timeout: 3 * time.Second}, 3*time.Second)},
	{name: "timeout of the response's start", run: gatewayTimeout(service{name: "start", timeout: 20 * time.Second, start: 2 * time.Second}, 2*time.Second)},
	{
		name: "timeout of an idle response cuts it", needs: both,
		run: cut(service{name: "idle", timeout: 20 * time.Second, idle: 2 * time.Second}, "/stall", 2*time.Second),
	},
	{
		name: "timeout of the whole cuts a response under way", needs: both,
		run: cut(service{name: "stream", timeout: 3 * time.Second}, "/sse?n=200&every=100ms", 3*time.Second),
	},
}

// gatewayTimeout expects a 504 with the contract's text when the service's timeout has passed.
func gatewayTimeout(s service, after time.Duration) func(context.Context, *world) (string, error) {
	s.pods = 1
	return func(ctx context.Context, w *world) (string, error) {
		r, err := w.deploy(ctx, s)
		if err != nil {
			return "", err
		}
		a, err := r.get(ctx, "/?sleep=15s")
		if err == nil {
			err = a.want(http.StatusGatewayTimeout)
		}
		if err != nil {
			return "", err
		}
		figure := fmt.Sprintf("504 after %.1f s", a.took.Seconds())
		if !strings.Contains(a.body, "request timeout") || (a.took-after).Abs() > time.Second {
			err = fmt.Errorf("%q after %v", a.body, a.took)
		}
		return figure, err
	}
}

// cut expects that a response which has begun ends with an error: after a clean end it would seem to be complete.
func cut(s service, path string, after time.Duration) func(context.Context, *world) (string, error) {
	s.pods = 1
	return func(ctx context.Context, w *world) (string, error) {
		r, err := w.deploy(ctx, s)
		if err != nil {
			return "", err
		}
		a, err := r.get(ctx, path)
		if a == nil {
			return "", err
		}
		figure := fmt.Sprintf("cut after %.1f s", a.took.Seconds())
		switch {
		case err == nil:
			return "", fmt.Errorf("a clean end of a %d after %v: …%q", a.status, a.took, a.body[max(0, len(a.body)-40):])
		case a.status != http.StatusOK || strings.Contains(a.body, "timeout"):
			return figure, fmt.Errorf("%d %q", a.status, shorten(a.body))
		case (a.took - after).Abs() > time.Second:
			return figure, fmt.Errorf("after %v, not %v", a.took, after)
		}
		return figure, nil
	}
}
