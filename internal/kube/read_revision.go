package kube

import (
	"cmp"
	"time"

	"github.com/sluice-proxy/sluice/activator"
	"github.com/sluice-proxy/sluice/proxy"
	"github.com/sluice-proxy/sluice/throttler"
)

// defaultTimeout is that of a revision that says nothing (Knative's revision-timeout-seconds).
const defaultTimeout = 300 * time.Second

// revision says what a Revision means to the activator. Requests go on in the client's protocol whatever the name of
// the revision's port is: it only chooses the queue-proxy's port, which serves both.
func (rd reader) revision(obj any) item {
	o, ok := obj.(*revisionObject)
	if !ok {
		return nil
	}
	m, s := &o.Metadata, &o.Spec
	r := activator.Revision{
		ID:            throttler.RevisionID{Namespace: m.Namespace, Name: m.Name},
		Limit:         int(max(0, s.ContainerConcurrency)),
		Timeouts:      rd.timeouts(s),
		Service:       m.Labels.Service,
		Configuration: m.Labels.Configuration,
		NoEarlyUse:    probedByKubelet(s.Containers),
	}
	return &revision{name{m.Namespace, m.Name}, r}
}

func (rd reader) timeouts(s *revisionSpec) proxy.Timeouts {
	if rd.noTimeouts {
		return proxy.Timeouts{}
	}
	return proxy.Timeouts{
		Total:         cmp.Or(seconds(s.TimeoutSeconds), defaultTimeout),
		ResponseStart: seconds(s.ResponseStartTimeoutSeconds),
		Idle:          seconds(s.IdleTimeoutSeconds),
	}
}

func seconds(n int64) time.Duration { return time.Duration(max(0, n)) * time.Second }

// probedByKubelet says that the kubelet asks what the queue-proxy can't: the serving container by a command, or any
// container whether it has started.
func probedByKubelet(all []container) bool {
	for _, c := range all {
		serving := len(all) == 1 || len(c.Ports) > 0
		if c.StartupProbe != nil || serving && c.ReadinessProbe != nil && c.ReadinessProbe.Exec != nil {
			return true
		}
	}
	return false
}
