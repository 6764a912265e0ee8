package objects

import (
	"time"

	"k8s.io/apimachinery/pkg/runtime/schema"

	"github.com/sluice-proxy/sluice/internal/standalone/kubeapi"
)

// Lookup returns the present version of an object; nil: there is none. uid, creationTimestamp and the times of conditions that
// haven't changed are taken over from it.
type Lookup func(r schema.GroupResource, namespace, name string) kubeapi.Object

// Of returns the objects of a service, its own with status first. With the same state, and what it returned before as present,
// it returns the same again, whatever now is. The result shares nothing with the state.
func Of(s Service, present Lookup, now time.Time) []Item {
	v := serviceView{maker: &maker{present: present, now: now, namespace: s.Object.GetNamespace()}, Service: &s}
	v.make()
	return v.items
}
