package activator

import (
	"slices"
	"time"
)

// MeshMode says whether a service mesh may stand between the activator and the pods, so that a pod can't be addressed
// by its own IP (mesh-compatibility-mode of Knative's config-network).
type MeshMode uint8

const (
	// MeshAuto uses pods that have answered a probe, and the cluster IP of the private Service when none did and the
	// answers look like those of a mesh.
	MeshAuto MeshMode = iota
	// MeshEnabled uses the cluster IP alone, when it has answered a probe.
	MeshEnabled
	// MeshDisabled uses pods alone, those that Kubernetes calls Ready without a probe.
	MeshDisabled
)

const (
	// clusterID is what the throttler and ColdStart.Pod call the cluster IP. No UID and no address looks so.
	clusterID = "clusterIP"

	// clusterPortTLS is the private Service's port for what goes to port 8112 of a pod.
	clusterPortTLS = 443

	// provingTime is for how long a pod must pass each probe before requests leave the cluster IP: a mesh's sidecar
	// lets some through while it starts.
	provingTime = time.Second
)

// routeLocked decides between pods and the cluster IP, and says whether the pods have come into use or gone out of it.
func (t *tracked) routeLocked() (turned bool) {
	was := t.meshed
	t.fallback = t.fallbackLocked()
	if !t.fallback {
		t.meshed = false
		t.cluster.restart()
	} else if t.probeLocked(&t.cluster); t.cluster.passed {
		t.meshed = true
	}
	if t.meshed == was && !t.proven {
		return false
	}
	t.proving, t.proven = false, false
	if !t.meshed {
		t.askAgainLocked()
	}
	return true
}

// fallbackLocked says that the cluster IP is the way to go, as far as is known. With no pod that Kubernetes calls Ready
// there is nobody behind it.
func (t *tracked) fallbackLocked() bool {
	mode := t.a.config.MeshMode
	switch {
	case t.cluster.Addr == "", t.nReady == 0, mode == MeshDisabled, t.a.config.Passthrough:
		return false
	case mode == MeshEnabled, t.meshed:
		return true
	case t.usable.Load() > 0 && !t.cluster.counted:
		return false
	}
	for _, p := range t.pods {
		if p.passed || p.status == noMesh || p.ready && p.status == unasked {
			return false
		}
	}
	return true
}

// proveLocked is a pod that has passed once more while the cluster IP serves.
func (t *tracked) proveLocked(p *pod) {
	switch {
	case !t.meshed:
	case time.Since(p.since) >= provingTime:
		t.meshed, t.proven = false, true
	case !t.proving: // what this one can, others may be able to
		t.proving = true
		t.askAgainLocked()
	}
}

// askAgainLocked has pods probed at once that have not passed, and ends the probes of those that are in use.
func (t *tracked) askAgainLocked() {
	for _, p := range t.pods {
		if !p.passed {
			p.rest()
		}
		t.probeLocked(p)
	}
}

// clusterSlotsLocked is this activator's part of what the pods behind the cluster IP can take.
func (t *tracked) clusterSlotsLocked(s *spec) int {
	if s.Limit == 0 {
		return 0
	}
	n := 1
	if slices.Contains(t.peers, t.a.config.PodIP) {
		n = len(t.peers)
	}
	return max(1, s.Limit*t.nReady/n)
}

// setHostLocked keeps the Host that a mesh passes through to a pod. Probes in progress begin again with it.
func (t *tracked) setHostLocked(service string) {
	if !t.a.config.Passthrough || service == t.service {
		return
	}
	t.service = service
	t.host.Store(nil)
	if service != "" {
		host := service + "." + t.id.Namespace
		t.host.Store(&host)
	}
	for _, p := range t.pods {
		if p.probe != nil {
			p.rest()
			t.probeLocked(p)
		}
	}
}
