package knative

// Environment of the queue-proxy. Knative's controller sets all but Sluice's own.
const (
	EnvContainerConcurrency  = "CONTAINER_CONCURRENCY"
	EnvQueueServingPort      = "QUEUE_SERVING_PORT"
	EnvQueueServingTLSPort   = "QUEUE_SERVING_TLS_PORT"
	EnvUserPort              = "USER_PORT"
	EnvRevisionTimeout       = "REVISION_TIMEOUT_SECONDS"
	EnvResponseStartTimeout  = "REVISION_RESPONSE_START_TIMEOUT_SECONDS"
	EnvIdleTimeout           = "REVISION_IDLE_TIMEOUT_SECONDS"
	EnvMaxDuration           = "MAX_DURATION_SECONDS"
	EnvLoggingConfig         = "SERVING_LOGGING_CONFIG"
	EnvLoggingLevel          = "SERVING_LOGGING_LEVEL"
	EnvServingNamespace      = "SERVING_NAMESPACE"
	EnvServingService        = "SERVING_SERVICE"
	EnvServingConfiguration  = "SERVING_CONFIGURATION"
	EnvServingRevision       = "SERVING_REVISION"
	EnvServingPod            = "SERVING_POD"
	EnvServingPodIP          = "SERVING_POD_IP"
	EnvReadinessProbe        = "SERVING_READINESS_PROBE"
	EnvFullDuplex            = "ENABLE_HTTP_FULL_DUPLEX"
	EnvHTTP2AutoDetection    = "ENABLE_HTTP2_AUTO_DETECTION"
	EnvMultiContainerProbes  = "ENABLE_MULTI_CONTAINER_PROBES"
	EnvObservabilityConfig   = "OBSERVABILITY_CONFIG"
	EnvRequestMetricsBackend = "SERVING_REQUEST_METRICS_BACKEND" // classic
	EnvRequestLogTemplate    = "SERVING_REQUEST_LOG_TEMPLATE"    // classic
	EnvEnableRequestLog      = "SERVING_ENABLE_REQUEST_LOG"      // classic
	EnvEnableProbeRequestLog = "SERVING_ENABLE_PROBE_REQUEST_LOG"
	EnvEnableProfiling       = "ENABLE_PROFILING" // classic
	EnvProfilingPort         = "PROFILING_PORT"
	EnvTLSMinVersion         = PrefixQueueProxy + envTLSMinVersion
	EnvTLSMaxVersion         = PrefixQueueProxy + envTLSMaxVersion
	EnvTLSCipherSuites       = PrefixQueueProxy + envTLSCipherSuites
	EnvTLSCurvePreferences   = PrefixQueueProxy + envTLSCurvePreferences
	EnvTracingBackend        = "TRACING_CONFIG_BACKEND"         // classic
	EnvTracingZipkinEndpoint = "TRACING_CONFIG_ZIPKIN_ENDPOINT" // classic
	EnvTracingSampleRate     = "TRACING_CONFIG_SAMPLE_RATE"     // classic
	EnvTracingDebug          = "TRACING_CONFIG_DEBUG"           // classic
	EnvPodName               = "POD_NAME"
	EnvHostname              = "HOSTNAME"
	EnvPodIP                 = "POD_IP"
	EnvSystemNamespace       = "SYSTEM_NAMESPACE"
	EnvClusterDomain         = "CLUSTER_DOMAIN"
	EnvMaxIdleConns          = "MAX_IDLE_PROXY_CONNS"
	EnvMaxIdleConnsPerHost   = "MAX_IDLE_PROXY_CONNS_PER_HOST"
	EnvProbeTimeout          = "PROBE_TIMEOUT"
	EnvProbeFrequency        = "PROBE_FREQUENCY"

	// Sluice's own.
	EnvBindAddress   = "SLUICE_BIND_ADDRESS"   // host or IP that all ports listen on; all
	EnvAdminPort     = "SLUICE_ADMIN_PORT"     // 8022
	EnvStatsPort     = "SLUICE_STATS_PORT"     // 9090
	EnvMetricsPort   = "SLUICE_METRICS_PORT"   // 9091
	EnvQueueDepth    = "SLUICE_QUEUE_DEPTH"    // 10 × CONTAINER_CONCURRENCY
	EnvQueueDeadline = "SLUICE_QUEUE_DEADLINE" // Go duration; off
	EnvDrainQuiet    = "SLUICE_DRAIN_QUIET"    // Go duration without a request after which draining ends; 30s
	EnvDrainIdle     = "SLUICE_DRAIN_IDLE"     // the same once nothing is in flight and a probe was answered that the pod drains; 5s
	EnvUserHost      = "SLUICE_USER_HOST"      // where the app listens; 127.0.0.1
	EnvTrustedPeers  = "SLUICE_TRUSTED_PEERS"  // CIDRs of peers whose internal headers take effect; all
	EnvFullStatus    = "SLUICE_FULL_STATUS"    // 503 or 429 when the queue is full; 503
	EnvCertsDir      = "SLUICE_CERTS_DIR"      // directory of tls.crt and tls.key; CertsDir
	EnvAnnounceTo    = "SLUICE_ANNOUNCE_TO"    // host:port of activators to announce a new pod to, or off; ActivatorService
	EnvAnnounceToken = "SLUICE_ANNOUNCE_TOKEN" // file of the token for that; AudienceSluice in TokenDir
)
