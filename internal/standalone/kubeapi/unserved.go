package kubeapi

import (
	"slices"
	"strings"

	"k8s.io/apimachinery/pkg/runtime/schema"
)

// known are kinds of Kubernetes that people look for or have manifests of: version, plural, kind, short names, and whether it has namespaces.
//
// Discovery has those of them that aren't served, without verbs: kubectl api-resources leaves them out, and kubectl get and
// apply ask for them, so that the error is the server's. Without them kubectl would say that "CRDs" have to be installed.
var known = []struct {
	version, resource, kind, short string
	namespaced                     bool
}{
	{"v1", "nodes", "Node", "no", false},
	{"v1", "persistentvolumes", "PersistentVolume", "pv", false},
	{"v1", "persistentvolumeclaims", "PersistentVolumeClaim", "pvc", true},
	{"v1", "serviceaccounts", "ServiceAccount", "sa", true},
	{"v1", "replicationcontrollers", "ReplicationController", "rc", true},
	{"v1", "limitranges", "LimitRange", "limits", true},
	{"v1", "resourcequotas", "ResourceQuota", "quota", true},
	{"v1", "endpoints", "Endpoints", "ep", true},
	{"apps/v1", "replicasets", "ReplicaSet", "rs", true},
	{"apps/v1", "statefulsets", "StatefulSet", "sts", true},
	{"apps/v1", "daemonsets", "DaemonSet", "ds", true},
	{"batch/v1", "jobs", "Job", "", true},
	{"batch/v1", "cronjobs", "CronJob", "cj", true},
	{"autoscaling/v2", "horizontalpodautoscalers", "HorizontalPodAutoscaler", "hpa", true},
	{"networking.k8s.io/v1", "ingresses", "Ingress", "ing", true},
	{"networking.k8s.io/v1", "networkpolicies", "NetworkPolicy", "netpol", true},
	{"policy/v1", "poddisruptionbudgets", "PodDisruptionBudget", "pdb", true},
	{"rbac.authorization.k8s.io/v1", "roles", "Role", "", true},
	{"rbac.authorization.k8s.io/v1", "rolebindings", "RoleBinding", "", true},
	{"rbac.authorization.k8s.io/v1", "clusterroles", "ClusterRole", "", false},
	{"rbac.authorization.k8s.io/v1", "clusterrolebindings", "ClusterRoleBinding", "", false},
	{"storage.k8s.io/v1", "storageclasses", "StorageClass", "sc", false},
}

// withUnserved returns pointers to served, and after them the known kinds that aren't among them.
func withUnserved(served []Resource) []*Resource {
	var all []*Resource
	for i := range served {
		all = append(all, &served[i])
	}
	for _, k := range known {
		group, version, ok := strings.Cut(k.version, "/")
		if !ok {
			group, version = "", k.version
		}
		r := &Resource{
			GroupVersionResource: schema.GroupVersionResource{Group: group, Version: version, Resource: k.resource},
			Kind:                 k.kind, Singular: strings.ToLower(k.kind), Namespaced: k.namespaced,
			ReadOnly: "it is not served by the quickstart", unserved: true,
		}
		if k.short != "" {
			r.ShortNames = []string{k.short}
		}
		if !slices.ContainsFunc(served, func(s Resource) bool { return s.GroupVersionResource == r.GroupVersionResource }) {
			all = append(all, r)
		}
	}
	return all
}
