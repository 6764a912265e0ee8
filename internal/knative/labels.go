package knative

// Labels and annotations of Kubernetes objects.
const (
	// LabelServiceType tells a revision's Services and endpoints apart: ServiceTypePrivate lists its pods,
	// ServiceTypePublic what its requests are to go to, activators or pods.
	LabelServiceType = "networking.internal.knative.dev/serviceType"
	// LabelRevision, LabelConfiguration and LabelService name what an object belongs to.
	LabelRevision      = "serving.knative.dev/revision"
	LabelConfiguration = "serving.knative.dev/configuration"
	LabelService       = "serving.knative.dev/service"
	// LabelTrustBundle marks ConfigMaps of the system namespace whose values are certificates (PEM) to be trusted.
	LabelTrustBundle = "networking.knative.dev/trust-bundle"
	// AnnotationFullDuplex lets an HTTP/1.1 app answer while it still reads the body, when it is FeatureEnabled.
	AnnotationFullDuplex = "features.knative.dev/http-full-duplex"
)

// Values of labels and annotations, and names of ports of Services.
const (
	ServiceTypePrivate = "Private"
	ServiceTypePublic  = "Public"
	FeatureEnabled     = "Enabled"

	PortNameHTTP1 = "http"
	PortNameHTTP2 = "http2"
)
