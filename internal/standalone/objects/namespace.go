package objects

import metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

// Namespace has the fields of a Namespace, for strategic merge patches.
type Namespace struct {
	metav1.TypeMeta   `json:",inline"`
	metav1.ObjectMeta `json:"metadata"`

	Spec struct {
		Finalizers []string `json:"finalizers,omitempty"`
	} `json:"spec"`
	Status struct {
		Phase string `json:"phase,omitempty"`
	} `json:"status"`
}
