package objects

// Labels and annotations of Knative beside those in package knative (knative.dev/serving/pkg/apis/serving/register.go).
const (
	labelConfigurationUID = "serving.knative.dev/configurationUID"
	labelGeneration       = "serving.knative.dev/configurationGeneration"
	labelRevisionUID      = "serving.knative.dev/revisionUID"
	labelRoute            = "serving.knative.dev/route"
	labelRouteNamespace   = "serving.knative.dev/routeNamespace"
	labelRoutingState     = "serving.knative.dev/routingState"
	labelServiceUID       = "serving.knative.dev/serviceUID"
	labelServerless       = "networking.internal.knative.dev/serverlessservice"
	labelVisibility       = "networking.knative.dev/visibility"

	annotationClass        = "autoscaling.knative.dev/class"
	annotationMetric       = "autoscaling.knative.dev/metric"
	annotationCreator      = "serving.knative.dev/creator"
	annotationModifier     = "serving.knative.dev/lastModifier"
	annotationRoutes       = "serving.knative.dev/routes"
	annotationRoutingSince = "serving.knative.dev/routingStateModified"
	annotationRollout      = "serving.knative.dev/rollout-duration"
	annotationOldRollout   = "serving.knative.dev/rolloutDuration"
	annotationIngressClass = "networking.knative.dev/ingress.class"
	annotationLastApplied  = "kubectl.kubernetes.io/last-applied-configuration"
	annotationContainer    = "kubectl.kubernetes.io/default-container" // whose log kubectl shows
)

// ingressClass names the quickstart's ingress in the form of those of Knative's gateways.
const ingressClass = "sluice.ingress.networking.knative.dev"
