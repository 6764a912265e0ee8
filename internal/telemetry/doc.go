// Package telemetry reports the requests that a program serves: it composes the request log and traces around the program's
// policy, exports its metrics, and turns them on, off or to other targets while requests are served.
//
//	proxy ──► trace ──► request log ──► the program's policy ──► metrics (Config.Registry)
//	            │            │                                      │
//	            ▼            ▼                                      ▼
//	   OTLP, Zipkin, stdout  stdout                    OTLP, or a page for Prometheus
//
//	t, err := telemetry.New(telemetry.Config{Span: "queue", Out: os.Stdout, Registry: registry, Log: log})
//	policy = t.Wrap(policy)
//	err = errors.Join(t.SetRequestLog(c.RequestLog), t.SetTraces(c.Tracing), t.SetMetrics(c.Metrics))
//	…
//	t.Close()
//
// # Concurrency
//
// One goroutine calls SetRequestLog, SetTraces and SetMetrics, and Close last. The setters don't wait for a collector: spans and
// metrics for the previous one are sent in the background. Close waits for everything that they started, for
// Config.FlushTime at most, and logs how much was lost.
package telemetry
