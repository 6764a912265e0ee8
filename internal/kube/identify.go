package kube

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"

	authenticationv1 "k8s.io/api/authentication/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/serializer"
	utilnet "k8s.io/apimachinery/pkg/util/net"
	"k8s.io/client-go/rest"

	"github.com/sluice-proxy/sluice/activator"
	"github.com/sluice-proxy/sluice/internal/knative"
)

// Extra fields of the user that a token bound to a pod stands for (Kubernetes, "Managing Service Accounts").
const (
	extraPodName = "authentication.kubernetes.io/pod-name"
	extraPodUID  = "authentication.kubernetes.io/pod-uid"

	serviceAccountUser = "system:serviceaccount:"
)

// Reviewer has the API server say which pod a service account token belongs to. It needs leave to create tokenreviews
// of authentication.k8s.io.
type Reviewer struct {
	http   *http.Client
	client rest.Interface
}

// NewReviewer doesn't change c. It asks the API server nothing yet.
func NewReviewer(c *rest.Config) (*Reviewer, error) {
	s := runtime.NewScheme()
	if err := authenticationv1.AddToScheme(s); err != nil {
		return nil, err
	}
	c = rest.CopyConfig(c)
	c.QPS, c.RateLimiter = -1, nil // the activator bounds reviews itself
	c.NegotiatedSerializer = serializer.NewCodecFactory(s).WithoutConversion()
	c.GroupVersion, c.APIPath = &authenticationv1.SchemeGroupVersion, "/apis"
	c.ContentType, c.AcceptContentTypes = protobuf[0], protobuf[1]
	h, err := rest.HTTPClientFor(c)
	if err != nil {
		return nil, fmt.Errorf("client of the API server: %w", err)
	}
	client, err := rest.RESTClientForConfigAndClient(c, h)
	if err != nil {
		return nil, fmt.Errorf("client of the API server: %w", err)
	}
	return &Reviewer{h, client}, nil
}

// Close lets go of idle connections. Those that others share with it are opened again when they are needed.
func (r *Reviewer) Close() { utilnet.CloseIdleConnectionsFor(r.http.Transport) }

// Identify implements activator.Config's Identify. It blocks on one request to the API server, which ctx ends. A token
// that is none of a living pod's, or for another audience, is activator.ErrUnproven.
func (r *Reviewer) Identify(ctx context.Context, token string) (activator.PodIdentity, error) {
	review := &authenticationv1.TokenReview{
		Spec: authenticationv1.TokenReviewSpec{Token: token, Audiences: []string{knative.AudienceSluice}},
	}
	if err := r.client.Post().Resource("tokenreviews").Body(review).Do(ctx).Into(review); err != nil {
		return activator.PodIdentity{}, fmt.Errorf("token review: %w", err)
	}
	id, err := identityOf(&review.Status)
	if err != nil {
		return id, fmt.Errorf("%w: %w", activator.ErrUnproven, err)
	}
	return id, nil
}

func identityOf(s *authenticationv1.TokenReviewStatus) (id activator.PodIdentity, err error) {
	switch {
	case s.Error != "":
		return id, errors.New(s.Error)
	case !s.Authenticated:
		return id, errors.New("the API server doesn't know the token")
	case !slices.Contains(s.Audiences, knative.AudienceSluice):
		return id, errors.New("the token is for another audience")
	}
	account, ok := strings.CutPrefix(s.User.Username, serviceAccountUser)
	id.Namespace, _, _ = strings.Cut(account, ":")
	id.Name, id.UID = first(s.User.Extra[extraPodName]), first(s.User.Extra[extraPodUID])
	if !ok || id.Namespace == "" || id.Name == "" || id.UID == "" {
		return activator.PodIdentity{}, errors.New("the token is bound to no pod")
	}
	return id, nil
}

func first(values authenticationv1.ExtraValue) string {
	if len(values) == 0 {
		return ""
	}
	return values[0]
}
