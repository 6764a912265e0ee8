package kube

import (
	"slices"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
)

// revisionsGV is the API group of Revisions.
var revisionsGV = schema.GroupVersion{Group: "serving.knative.dev", Version: "v1"}

// revisionObject is the part of a Revision that is used. JSON is decoded straight into it, so that the rest of the object,
// managed fields above all, takes no memory.
type revisionObject struct {
	metav1.TypeMeta `json:",inline"`
	Metadata        revisionMeta `json:"metadata"`
	Spec            revisionSpec `json:"spec"`
}

type revisionMeta struct {
	Name            string `json:"name"`
	Namespace       string `json:"namespace"`
	ResourceVersion string `json:"resourceVersion"`
	Labels          struct {
		Service       string `json:"serving.knative.dev/service"`
		Configuration string `json:"serving.knative.dev/configuration"`
	} `json:"labels"`
	Annotations struct {
		// InitialEventsEnd is set on the bookmark at the end of a streamed list.
		InitialEventsEnd string `json:"k8s.io/initial-events-end"`
		Affinity         string `json:"sluice.dev/affinity"`
		AffinityOrder    string `json:"sluice.dev/affinity-order"`
		BurstCapacity    string `json:"autoscaling.knative.dev/target-burst-capacity"`
		OldBurstCapacity string `json:"autoscaling.knative.dev/targetBurstCapacity"`
	} `json:"annotations"`
}

type revisionSpec struct {
	ContainerConcurrency        int64       `json:"containerConcurrency"`
	TimeoutSeconds              int64       `json:"timeoutSeconds"`
	ResponseStartTimeoutSeconds int64       `json:"responseStartTimeoutSeconds"`
	IdleTimeoutSeconds          int64       `json:"idleTimeoutSeconds"`
	Containers                  []container `json:"containers"`
}

type container struct {
	Ports []struct {
		Name string `json:"name"`
	} `json:"ports"`
	ReadinessProbe *struct {
		Exec *struct{} `json:"exec"`
	} `json:"readinessProbe"`
	StartupProbe *struct{} `json:"startupProbe"`
}

// GetObjectMeta implements metav1.ObjectMetaAccessor, for reflectors.
func (r *revisionObject) GetObjectMeta() metav1.Object {
	m := &metav1.ObjectMeta{Name: r.Metadata.Name, Namespace: r.Metadata.Namespace, ResourceVersion: r.Metadata.ResourceVersion}
	if end := r.Metadata.Annotations.InitialEventsEnd; end != "" {
		m.Annotations = map[string]string{metav1.InitialEventsAnnotationKey: end}
	}
	return m
}

// DeepCopyObject implements runtime.Object. It shares what containers point to, which is never changed.
func (r *revisionObject) DeepCopyObject() runtime.Object {
	c := *r
	c.Spec.Containers = slices.Clone(r.Spec.Containers)
	return &c
}

type revisionList struct {
	metav1.TypeMeta `json:",inline"`
	metav1.ListMeta `json:"metadata"`
	Items           []revisionObject `json:"items"`
}

// DeepCopyObject implements runtime.Object.
func (l *revisionList) DeepCopyObject() runtime.Object {
	c := *l
	c.Items = slices.Clone(l.Items)
	return &c
}
