package objects

import (
	"k8s.io/apimachinery/pkg/runtime/schema"

	"github.com/sluice-proxy/sluice/internal/standalone/kubeapi"
)

// Item is an object and its resource.
type Item struct {
	Resource schema.GroupResource
	Object   kubeapi.Object
}
