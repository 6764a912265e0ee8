package kubeapi

import (
	"net/http"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
)

// write changes objects.
func (s *Server) write(w http.ResponseWriter, r *http.Request, q request) error {
	return apierrors.NewMethodNotSupported(q.resource.GroupResource(), q.verb)
}
