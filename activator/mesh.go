package activator

import "time"

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
