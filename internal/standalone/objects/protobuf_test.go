package objects

import (
	"encoding/json"
	"reflect"
	"testing"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/sluice-proxy/sluice/internal/standalone/kubeapi"
)

// marshaler is an object of k8s.io/api.
type marshaler interface {
	Marshal() ([]byte, error)
}

// What is decoded from protobuf is what Kubernetes' own type has in JSON.
func TestProtobuf(t *testing.T) {
	meta := metav1.ObjectMeta{Name: "a", Namespace: "b", Labels: map[string]string{"c": "d"}}
	for _, c := range []struct {
		object marshaler
		to     kubeapi.Message
	}{
		{&corev1.ConfigMap{ObjectMeta: meta}, &ConfigMap{}},
		{&corev1.ConfigMap{ObjectMeta: meta, Immutable: new(true), Data: map[string]string{"x": "y", "": ""}, BinaryData: map[string][]byte{"z": {0, 1}}}, &ConfigMap{}},
		{&corev1.Secret{ObjectMeta: meta, Immutable: new(false), Type: "Opaque", Data: map[string][]byte{"x": []byte("y")}, StringData: map[string]string{"u": "v"}}, &Secret{}},
		{&corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: "n", Annotations: map[string]string{"c": "d"}}}, &Namespace{}},
	} {
		message, err := c.object.Marshal()
		if err != nil {
			t.Fatal(err)
		}
		if err := c.to.Unmarshal(message); err != nil {
			t.Fatal(err)
		}
		if got, want := plain(t, c.to), plain(t, c.object); !reflect.DeepEqual(got, want) {
			t.Errorf("got  %v\nwant %v", got, want)
		}
	}
}

func plain(t *testing.T, v any) (decoded map[string]any) {
	t.Helper()
	data, err := json.Marshal(v)
	if err == nil {
		err = json.Unmarshal(data, &decoded)
	}
	if err != nil {
		t.Fatal(err)
	}
	return decoded
}

func FuzzProtobuf(f *testing.F) {
	message, err := (&corev1.Secret{ObjectMeta: metav1.ObjectMeta{Name: "a"}, Data: map[string][]byte{"x": []byte("y")}, Type: "t"}).Marshal()
	if err != nil {
		f.Fatal(err)
	}
	f.Add(message)
	f.Add([]byte{0x0a})
	f.Fuzz(func(_ *testing.T, message []byte) {
		for _, m := range []kubeapi.Message{&ConfigMap{}, &Secret{}, &Namespace{}} {
			_ = m.Unmarshal(message) // it doesn't panic
		}
	})
}
