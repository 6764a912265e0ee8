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

// Extra fields of the user of a token that is bound to a pod (Kubernetes, "Managing Service Accounts").
const (
	extraPodName = "authentication.kubernetes.io/pod-name"
	extraPodUID  = "authentication.kubernetes.io/pod-uid"

	serviceAccountUser = "system:serviceaccount:"
)

// Reviewer asks the API server which pod a service account token belongs to. Its account must be allowed to create
// tokenreviews of authentication.k8s.io.
type Reviewer struct {
	http   *http.Client
	client rest.Interface
}

// NewReviewer returns a Reviewer. It doesn't change c, and makes no request yet.
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

// Close closes idle connections, also of other clients with the same transport, which reopen them.
func (r *Reviewer) Close() { utilnet.CloseIdleConnectionsFor(r.http.Transport) }

// Identify implements activator.Config's Identify. It blocks on one request to the API server, which ctx cancels. It
// returns activator.ErrUnproven for a token that belongs to no existing pod, or is for another audience.
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
		return id, errors.New("the API server doesn't accept the token")
	case !slices.Contains(s.Audiences, knative.AudienceSluice):
		return id, errors.New("the token is for another audience")
	}
	account, ok := strings.CutPrefix(s.User.Username, serviceAccountUser)
	id.Namespace, _, _ = strings.Cut(account, ":")
	id.Name, id.UID = first(s.User.Extra[extraPodName]), first(s.User.Extra[extraPodUID])
	if !ok || id.Namespace == "" || id.Name == "" || id.UID == "" {
		return activator.PodIdentity{}, errors.New("the token isn't bound to a pod")
	}
	return id, nil
}

func first(values authenticationv1.ExtraValue) string {
	if len(values) == 0 {
		return ""
	}
	return values[0]
}
