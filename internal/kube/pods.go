package kube

import (
	"context"
	"time"

	"go.uber.org/zap"
	authorizationv1 "k8s.io/api/authorization/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/rest"
)

// askTimeout bounds the question what may be watched, which isn't worth a long wait.
const askTimeout = 10 * time.Second

// pods watches EndpointSlices where it may, and else Endpoints. Both go to the same shelf, so a list of one replaces all
// that the other has said.
type pods struct {
	slices, endpoints *watcher
	auth              rest.Interface
	log               *zap.Logger

	now     *watcher // of the round
	refused bool     // the last round wasn't let to the slices
}

func (p *pods) run(ctx context.Context) {
	for ctx.Err() == nil {
		p.choose(ctx)
		err := p.now.round(ctx)
		p.refused = p.now == p.slices && (apierrors.IsForbidden(err) || apierrors.IsNotFound(err))
	}
}

// choose sets p.now, before each round, so that what has been granted is used, and what has been taken away isn't
// missed, an hour later at most.
func (p *pods) choose(ctx context.Context) {
	was := p.now
	may, err := p.maySlices(ctx)
	switch {
	case p.refused, err == nil && !may:
		p.now = p.endpoints
	case err != nil && !apierrors.IsForbidden(err) && was != nil: // the API server is away
	default: // also when it doesn't tell: the round will show
		p.now = p.slices
	}
	switch {
	case p.now == was:
	case p.now == p.slices:
		p.log.Info("pods are known from EndpointSlices")
	default:
		p.log.Warn("pods are known from Endpoints, which list 1000 of a revision at most: grant get, list and watch of endpointslices in discovery.k8s.io")
	}
}

// maySlices asks the API server whether slices may be listed and watched in all namespaces.
func (p *pods) maySlices(ctx context.Context) (bool, error) {
	ctx, cancel := context.WithTimeout(ctx, askTimeout)
	defer cancel()
	for _, verb := range [...]string{"list", "watch"} {
		review := &authorizationv1.SelfSubjectAccessReview{Spec: authorizationv1.SelfSubjectAccessReviewSpec{
			ResourceAttributes: &authorizationv1.ResourceAttributes{
				Verb: verb, Group: discoveryv1.GroupName, Version: "v1", Resource: "endpointslices",
			},
		}}
		answer := &authorizationv1.SelfSubjectAccessReview{}
		err := p.auth.Post().Resource("selfsubjectaccessreviews").
			VersionedParams(&metav1.CreateOptions{}, metav1.ParameterCodec).Body(review).Do(ctx).Into(answer)
		if err != nil || !answer.Status.Allowed {
			return false, err
		}
	}
	return true, nil
}
