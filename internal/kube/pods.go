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
	// askTimeout bounds the question what may be watched, which isn't worth a long wait.
	askTimeout = 10 * time.Second
	// askPeriod is how often it is asked while slices are not in use.
	askPeriod = time.Minute
	// denialPatience is for an API server that has just started and denies what it has not read the roles of yet.
	denialPatience = 30 * time.Second
)

// pods watches EndpointSlices where it may, and else Endpoints. Both go to the same store, so a list of one replaces all
// that the other has said.
type pods struct {
	slices, endpoints *watcher
	auth              rest.Interface
	log               *zap.Logger
	period, patience  time.Duration // askPeriod and denialPatience

	now         *watcher // of the round
	refused     bool     // the last round wasn't let to the slices
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
		p.refused = apierrors.IsForbidden(err) || apierrors.IsNotFound(err)
	}
}

// roundOfEndpoints ends early when slices have been granted.
func (p *pods) roundOfEndpoints(ctx context.Context) {
	p.refused = false
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

// choose sets p.now before each round, by what the API server says; where that can't be asked the round shows.
func (p *pods) choose(ctx context.Context) {
	was := p.now
	may, err := p.maySlices(ctx)
	denied := p.refused || err == nil && !may
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
	case err != nil && !apierrors.IsForbidden(err) && was != nil: // the API server is away
	default:
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
