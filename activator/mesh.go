package activator

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
