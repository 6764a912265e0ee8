package cluster_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"sync"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/util/intstr"
)

const slow = 5 * time.Second

var startCases = []testCase{
	{name: "slow start: requests wait", run: heldWhile(service{name: "slow", env: map[string]string{"LISTEN_AFTER": slow.String()}})},
	{name: "never ready: an error in time", run: neverReady},
	{name: "several containers, each with a readiness probe", run: severalContainers},
	{name: "exec readiness probe: nothing too early", run: heldWhile(service{
		name: "exec", readiness: execProbe(), env: map[string]string{"READY_AFTER": slow.String()},
	})},
	{name: "startup probe: nothing too early", run: heldWhile(service{
		name: "startup", readiness: httpProbe("/ready", 1), startup: httpProbe("/ready", 1), env: map[string]string{"READY_AFTER": slow.String()},
	})},
}

func httpProbe(path string, period int32) *corev1.Probe {
	return &corev1.Probe{
		ProbeHandler:  corev1.ProbeHandler{HTTPGet: &corev1.HTTPGetAction{Path: path, Port: intstr.FromInt32(appPort)}},
		PeriodSeconds: period, FailureThreshold: 20,
	}
}

func execProbe() *corev1.Probe {
	command := []string{"/ko-app/app", "probe", fmt.Sprintf("http://localhost:%d/ready", appPort)}
	return &corev1.Probe{ProbeHandler: corev1.ProbeHandler{Exec: &corev1.ExecAction{Command: command}}, PeriodSeconds: 1, FailureThreshold: 20}
}

// heldWhile sends requests to a service at zero that starts slowly: all wait for it, and none reaches the app too early.
func heldWhile(s service) func(context.Context, *world) (string, error) {
	return func(ctx context.Context, w *world) (string, error) {
		r, err := w.deploy(ctx, s)
		if err != nil {
			return "", err
		}
		const requests = 10
		var all sync.WaitGroup
		answers, errs := make([]*answer, requests), make([]error, requests)
		for i := range requests {
			all.Go(func() { answers[i], errs[i] = r.ok(ctx, "/") })
		}
		all.Wait()
		if err := errors.Join(errs...); err != nil {
			return "", err
		}
		probed := s.readiness != nil
		for _, a := range answers {
			if a.took < slow {
				return "", fmt.Errorf("answered after %v, before the app was ready", a.took)
			}
			if probed && a.header.Get("X-Early") != "" {
				return "", errors.New("a request reached the app before its probe had succeeded")
			}
		}
		return fmt.Sprintf("%d answered after %.1f s", requests, answers[0].took.Seconds()), nil
	}
}

func neverReady(ctx context.Context, w *world) (string, error) {
	const limit = 6 * time.Second
	r, err := w.deploy(ctx, service{
		name: "never", timeout: limit, readiness: httpProbe("/ready", 1), env: map[string]string{"READY_AFTER": "never"},
	})
	if err != nil {
		return "", err
	}
	a, err := r.get(ctx, "/")
	if err == nil {
		err = a.want(http.StatusGatewayTimeout)
	}
	if err != nil {
		return "", err
	}
	if !strings.HasPrefix(a.body, "activator request timeout") || (a.took-limit).Abs() > time.Second {
		err = fmt.Errorf("%q after %v", a.body, a.took)
	}
	return fmt.Sprintf("504 after %.1f s", a.took.Seconds()), err
}

// severalContainers has a second container that listens later: the pod may be used only when both are ready.
func severalContainers(ctx context.Context, w *world) (string, error) {
	const port = 9500
	probe := httpProbe("/ready", 1)
	probe.HTTPGet.Port = intstr.FromInt32(port)
	r, err := w.deploy(ctx, service{
		name: "several", readiness: httpProbe("/ready", 1),
		beside: []corev1.Container{{
			Name: "beside", Image: options.app, ReadinessProbe: probe,
			Env: []corev1.EnvVar{{Name: "PORT", Value: fmt.Sprint(port)}, {Name: "LISTEN_AFTER", Value: "3s"}},
		}},
	})
	if err != nil {
		return "", err
	}
	a, err := r.ok(ctx, fmt.Sprint("/beside?port=", port))
	if err != nil {
		return "", err
	}
	return fmt.Sprintf("after %.1f s", a.took.Seconds()), nil
}
