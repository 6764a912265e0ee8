package objects

import metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

// ConfigMap has the fields of a ConfigMap, for strategic merge patches.
type ConfigMap struct {
	metav1.TypeMeta   `json:",inline"`
	metav1.ObjectMeta `json:"metadata"`

	Immutable  *bool             `json:"immutable,omitempty"`
	Data       map[string]string `json:"data,omitempty"`
	BinaryData map[string][]byte `json:"binaryData,omitempty"`
}
