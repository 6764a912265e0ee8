// Package knative defines the names that Sluice shares with Knative Serving's control plane: headers, ports, environment
// variables, labels and annotations.
package knative

// Headers, in canonical form.
const (
	// HeaderNamespace and HeaderRevision name the revision of a request. The activator routes by them. A queue-proxy
	// removes them, and refuses requests for another revision (HTTP status 421).
	HeaderNamespace = "Knative-Serving-Namespace"
	HeaderRevision  = "Knative-Serving-Revision"
	// HeaderTag and HeaderDefaultRoute carry the route's tag; they reach the app.
	HeaderTag          = "Knative-Serving-Tag"
	HeaderDefaultRoute = "Knative-Serving-Default-Route"
	// HeaderProxyRequest marks a request that came through the activator; its value is ProxyActivator.
	HeaderProxyRequest = "K-Proxy-Request"
	// HeaderOriginalHost carries the client's Host from the activator to the queue-proxy.
	HeaderOriginalHost = "K-Original-Host"
	// HeaderPassthroughLB marks a request that a service mesh must send to the pod it names, without load balancing.
	HeaderPassthroughLB = "K-Passthrough-Lb"
	// HeaderProbe marks a probe of the data path; its value selects the component that has to answer.
	HeaderProbe = "K-Network-Probe"
	// HeaderHash is echoed in the answer to a ProbeIngress probe.
	HeaderHash = "K-Network-Hash"
	// HeaderKubeletProbe marks a kubelet probe whose User-Agent a proxy has replaced (activator only).
	HeaderKubeletProbe = "K-Kubelet-Probe"

	// HeaderNoQueue asks a queue-proxy to refuse rather than queue: the pod belongs to another activator's share.
	HeaderNoQueue = "Sluice-No-Queue"
	// HeaderNotProcessed marks the answer to a request that has not reached the app, so that another pod may get it.
	HeaderNotProcessed = "Sluice-Not-Processed"
	// HeaderPatience is a probe's timeout in milliseconds.
	HeaderPatience = "Sluice-Patience"
	// HeaderFeatures lists in the answer to a probe the extensions that the queue-proxy supports.
	HeaderFeatures = "Sluice-Features"
	// HeaderTrace, with the value 1, asks the activator for the parts of a cold start in Server-Timing.
	HeaderTrace = "Sluice-Trace"
	// HeaderKey names what a request has in common with others that should go to the same pod, such as the key of an event that a
	// broker delivers. It is percent-encoded.
	// A client may set it: all that it changes is which pod serves it, within the bounds of affinity.
	HeaderKey = "Sluice-Key"
	// HeaderKeyEpoch tells the app of a request with a key the epoch of that key, which grows when the key moves to another pod.
	HeaderKeyEpoch = "Sluice-Key-Epoch"
	// HeaderEventNamespace is the namespace of the trigger that an event is delivered for (knative.dev/eventing/pkg/apis/http.go).
	HeaderEventNamespace = "Kn-Namespace"
	// HeaderPodAddr is the host:port of the queue-proxy in an Announcement.
	HeaderPodAddr = "Sluice-Pod-Addr"
)

// internalHeaders is what InternalHeaders returns.
var internalHeaders = [...]string{
	HeaderNamespace, HeaderRevision, HeaderTag, HeaderDefaultRoute, HeaderProxyRequest, HeaderOriginalHost,
	HeaderPassthroughLB, HeaderProbe, HeaderHash, HeaderKubeletProbe, HeaderNoQueue, HeaderNotProcessed, HeaderFeatures,
	HeaderKeyEpoch,
}

// InternalHeaders returns the headers that one proxy sets for the next one, in canonical form, as a new slice. A client
// can't have them removed by naming them in Connection.
func InternalHeaders() []string { return append([]string(nil), internalHeaders[:]...) }

// privateHeaders is what PrivateHeaders returns.
var privateHeaders = [...]string{
	HeaderProbe, HeaderHash, HeaderOriginalHost,
	HeaderNoQueue, HeaderNotProcessed, HeaderFeatures, HeaderTrace, HeaderPodAddr, HeaderKey,
}

// PrivateHeaders returns the headers that only proxies and probers exchange, in canonical form, as a new slice. They are
// removed from what an app receives and from what it sends.
func PrivateHeaders() []string { return append([]string(nil), privateHeaders[:]...) }

// Values of headers.
const (
	ProxyActivator = "activator" // HeaderProxyRequest

	ProbeQueue     = "queue"     // HeaderProbe, answered by the queue-proxy
	ProbeActivator = "activator" // HeaderProbe, answered by the activator
	ProbeIngress   = "probe"     // HeaderProbe, answered by either, with HeaderHash
	ProbePod       = "pod"       // HeaderProbe of an Announcement, answered by Sluice's activator

	FeatureNoQueue = "no-queue" // HeaderFeatures: HeaderNoQueue is supported

	// User-Agent prefixes.
	UserAgentKubelet    = "kube-probe/"
	UserAgentActivator  = "Knative-Activator-Probe"
	UserAgentAutoscaler = "Knative-Autoscaling-Probe"

	// ProbePath is where the activator probes a pod.
	ProbePath = "/healthz"
)

// Ports.
const (
	PortHTTP1        = 8012 // activator; queue-proxy of an HTTP/1.1 revision
	PortHTTP2        = 8013 // activator; queue-proxy of an h2c revision
	PortTLS          = 8112
	PortQueueAdmin   = 8022
	PortQueueStats   = 9090
	PortQueueMetrics = 9091
	PortActivator    = 9090 // the activator's own metrics
	PortProfiling    = 8008
	PortAutoscaler   = 8080

	PortActivatorService = 80 // of ActivatorService, for PortHTTP1
)

// ActivatorService is the Service of the activators, in the system namespace.
const ActivatorService = "activator-service"

// TokenDir is where Knative mounts service account tokens into its sidecars, each in a file named after its audience.
const TokenDir = "/var/run/secrets/tokens"

// AdminDrainPath is the path of the app container's preStop hook, on PortQueueAdmin.
const AdminDrainPath = "/wait-for-drain"

// CertsDir is where a pod's certificate is mounted with system-internal-tls, as CertFile and KeyFile.
const (
	CertsDir = "/var/lib/knative/certs"
	CertFile = "tls.crt"
	KeyFile  = "tls.key"
	// The names with internal-encryption up to Knative 1.8.
	OldCertFile = "public-cert.pem"
	OldKeyFile  = "private-key.pem"
)

// AutoscalingPrefix is the prefix of a revision template's annotations for the autoscaler.
const AutoscalingPrefix = "autoscaling.knative.dev/"
