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

const (
	// askTimeout bounds an access review.
	askTimeout = 10 * time.Second
	// askPeriod is the pause between access reviews while Endpoints are watched.
	askPeriod = time.Minute
	// denialPatience is how long a denial is ignored: an API server that has just started denies what it hasn't read the roles of.
	denialPatience = 30 * time.Second
)

// pods watches EndpointSlices if the API server allows it, else Endpoints. Both use the same store, so a list of one
// replaces all items of the other.
type pods struct {
	slices, endpoints *watcher
	auth              rest.Interface
	log               *zap.Logger
	period, patience  time.Duration // askPeriod and denialPatience

	now         *watcher // of the current round
	denied      bool     // the API server denied slices in the last round
	deniedSince time.Time
}

func (p *pods) run(ctx context.Context) {
	for ctx.Err() == nil {
		p.choose(ctx)
		if p.now == p.endpoints {
			p.roundOfEndpoints(ctx)
			continue
		}
		err := p.slices.round(ctx)
		p.denied = apierrors.IsForbidden(err) || apierrors.IsNotFound(err)
	}
}

// roundOfEndpoints watches Endpoints for a round, which ends early when access to slices has been granted.
func (p *pods) roundOfEndpoints(ctx context.Context) {
	p.denied = false
	ctx, cancel := context.WithCancel(ctx)
	asked := make(chan struct{})
	go func() {
		defer close(asked)
		defer cancel()
		for may := false; !may && ctx.Err() == nil; may, _ = p.maySlices(ctx) {
			sleep(ctx, p.period)
		}
	}()
	_ = p.endpoints.round(ctx)
	cancel()
	<-asked
}

// choose sets p.now before each round, by an access review; if that fails, the round shows what is allowed.
func (p *pods) choose(ctx context.Context) {
	was := p.now
	may, err := p.maySlices(ctx)
	denied := p.denied || err == nil && !may
	switch {
	case !denied:
		p.deniedSince = time.Time{}
	case p.deniedSince.IsZero():
		p.deniedSince = time.Now()
	}
	switch {
	case denied && was == p.slices && p.slices.listed() && time.Since(p.deniedSince) < p.patience:
	case denied:
		p.now = p.endpoints
	case err != nil && !apierrors.IsForbidden(err) && was != nil: // the API server can't be reached
	default:
		p.now = p.slices
	}
	switch {
	case p.now == was:
	case p.now == p.slices:
		p.log.Info("watching EndpointSlices for pods")
	default:
		p.log.Warn("watching Endpoints for pods, which list at most 1000 of a revision; to use EndpointSlices, grant get, list and watch of endpointslices in discovery.k8s.io")
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
