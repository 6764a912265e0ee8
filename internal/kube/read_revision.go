package kube

import (
	"cmp"
	"time"

	"github.com/sluice-proxy/sluice/activator"
	"github.com/sluice-proxy/sluice/internal/knative"
	"github.com/sluice-proxy/sluice/proxy"
	"github.com/sluice-proxy/sluice/throttler"
)

// defaultTimeout is for a revision that sets none (Knative's revision-timeout-seconds).
const defaultTimeout = 300 * time.Second

// revision makes an item of a Revision. The name of its port is not read: it selects the queue-proxy's port, which serves
// all protocols, and requests are forwarded in the client's protocol.
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
		Affinity:      m.Annotations.Affinity,
		AffinityOrder: m.Annotations.AffinityOrder,
	}
	r.Bypassed = r.Affinity != "" && cmp.Or(m.Annotations.BurstCapacity, m.Annotations.OldBurstCapacity) != knative.BurstCapacityAlways
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

// probedByKubelet reports whether there is a probe that only the kubelet can make: an exec probe of the serving container,
// or a startup probe of any container.
func probedByKubelet(all []container) bool {
	for _, c := range all {
		serving := len(all) == 1 || len(c.Ports) > 0
		if c.StartupProbe != nil || serving && c.ReadinessProbe != nil && c.ReadinessProbe.Exec != nil {
			return true
		}
	}
	return false
}
