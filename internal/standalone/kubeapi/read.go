package kubeapi

import (
	"net/http"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
)

// serve serves a request for objects.
func (s *Server) serve(w http.ResponseWriter, r *http.Request, q request) {
	writeStatus(w, r, &apierrors.StatusError{ErrStatus: metav1.Status{
		Status: metav1.StatusFailure, Code: http.StatusNotImplemented, Message: q.verb + " of " + q.resource.Resource + " is to come",
	}})
}
