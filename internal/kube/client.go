package kube

import (
	"cmp"
	"fmt"
	"net/http"

	authorizationv1 "k8s.io/api/authorization/v1"
	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/runtime/serializer"
	utilnet "k8s.io/apimachinery/pkg/util/net"
	"k8s.io/client-go/rest"
)

// Knative's own ClusterRole lets an activator watch Endpoints, but not EndpointSlices.
type (
	//lint:ignore SA1019 see above
	coreEndpoints     = corev1.Endpoints
	coreEndpointsList = corev1.EndpointsList
)

// newScheme has only the kinds that this package uses.
func newScheme() *runtime.Scheme {
	s := runtime.NewScheme()
	s.AddKnownTypes(corev1.SchemeGroupVersion,
		&corev1.Service{}, &corev1.ServiceList{}, &coreEndpoints{}, &coreEndpointsList{},
		&corev1.ConfigMap{}, &corev1.ConfigMapList{}, &corev1.Secret{}, &corev1.SecretList{})
	s.AddKnownTypes(discoveryv1.SchemeGroupVersion, &discoveryv1.EndpointSlice{}, &discoveryv1.EndpointSliceList{})
	s.AddKnownTypes(authorizationv1.SchemeGroupVersion, &authorizationv1.SelfSubjectAccessReview{})
	s.AddKnownTypeWithName(revisionsGV.WithKind("Revision"), &revisionObject{})
	s.AddKnownTypeWithName(revisionsGV.WithKind("RevisionList"), &revisionList{})
	for _, gv := range []schema.GroupVersion{
		corev1.SchemeGroupVersion, discoveryv1.SchemeGroupVersion, authorizationv1.SchemeGroupVersion, revisionsGV,
	} {
		metav1.AddToGroupVersion(s, gv)
	}
	return s
}

// clients has a client for each API group. They share a pool of connections.
type clients struct {
	http                           *http.Client
	core, discovery, auth, knative rest.Interface
}

// newClients doesn't change c. It sets no rate limit: watches are few and end rarely.
func newClients(c *rest.Config) (*clients, error) {
	c = rest.CopyConfig(c)
	c.QPS, c.RateLimiter = -1, nil
	c.UserAgent = cmp.Or(c.UserAgent, rest.DefaultKubernetesUserAgent())
	c.WarningHandler, c.WarningHandlerWithContext = rest.NoWarnings{}, nil // each response warns that Endpoints are deprecated
	c.NegotiatedSerializer = serializer.NewCodecFactory(newScheme()).WithoutConversion()
	h, err := rest.HTTPClientFor(c)
	if err != nil {
		return nil, fmt.Errorf("client of the API server: %w", err)
	}
	all := &clients{http: h}
	for _, g := range []struct {
		client *rest.Interface
		gv     schema.GroupVersion
		path   string
		types  [2]string
	}{
		{&all.core, corev1.SchemeGroupVersion, "/api", protobuf},
		{&all.discovery, discoveryv1.SchemeGroupVersion, "/apis", protobuf},
		{&all.auth, authorizationv1.SchemeGroupVersion, "/apis", protobuf},
		{&all.knative, revisionsGV, "/apis", plainJSON}, // custom resources are served as JSON only
	} {
		gc := rest.CopyConfig(c)
		gc.GroupVersion, gc.APIPath = &g.gv, g.path
		gc.ContentType, gc.AcceptContentTypes = g.types[0], g.types[1]
		client, err := rest.RESTClientForConfigAndClient(gc, h)
		if err != nil {
			return nil, fmt.Errorf("client of the API server: %w", err)
		}
		*g.client = client
	}
	return all, nil
}

// close closes idle connections, also of other clients with the same transport, which reopen them.
func (c *clients) close() { utilnet.CloseIdleConnectionsFor(c.http.Transport) }

// Content types to send and to accept.
var (
	protobuf  = [2]string{runtime.ContentTypeProtobuf, runtime.ContentTypeProtobuf + "," + runtime.ContentTypeJSON}
	plainJSON = [2]string{runtime.ContentTypeJSON, runtime.ContentTypeJSON}
)
