package knative

// Labels and annotations of Kubernetes objects.
const (
	// LabelServiceType distinguishes a revision's Services and endpoints: those of ServiceTypePrivate are its pods, those
	// of ServiceTypePublic receive its requests, and are activators or pods.
	LabelServiceType = "networking.internal.knative.dev/serviceType"
	// LabelRevision, LabelConfiguration and LabelService name what an object belongs to.
	LabelRevision      = "serving.knative.dev/revision"
	LabelConfiguration = "serving.knative.dev/configuration"
	LabelService       = "serving.knative.dev/service"
	// LabelTrustBundle marks ConfigMaps of the system namespace whose values are trusted certificates (PEM).
	LabelTrustBundle = "networking.knative.dev/trust-bundle"
	// AnnotationFullDuplex, set to FeatureEnabled, lets an HTTP/1.1 app respond while it still reads the body.
	AnnotationFullDuplex = "features.knative.dev/http-full-duplex"
	// AnnotationAffinity says which requests of a revision go to one pod, AnnotationAffinityOrder how those of one key follow
	// each other.
	AnnotationAffinity      = "sluice.dev/affinity"
	AnnotationAffinityOrder = "sluice.dev/affinity-order"
	// AnnotationBurstCapacity decides when the activator is in the path: always with BurstCapacityAlways.
	AnnotationBurstCapacity = AutoscalingPrefix + "target-burst-capacity"
)

// Values of labels and annotations, and names of ports of Services.
const (
	ServiceTypePrivate = "Private"
	ServiceTypePublic  = "Public"
	FeatureEnabled     = "Enabled"

	BurstCapacityAlways = "-1"

	PortNameHTTP1 = "http"
	PortNameHTTP2 = "http2"
)
