// Package telemetry is what a program tells of the requests that it serves: the request log, traces and metrics, composed
// around its policy, and turned on, off and elsewhere while requests are served.
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
// SetRequestLog, SetTraces and SetMetrics are called by one goroutine, and don't wait for a collector: what was before is
// sent in the background. Whatever they start is waited for by Close, which comes after them and takes Config.FlushTime at
// most. What was lost by then is a line in the log.
package telemetry
