// Package metrics measures the load of the proxies, and reports it to the
// autoscaler and to Prometheus.
//
//	pod:        request ─► Concurrency ─► Stat ─► Scrape ◄── autoscaler (:9090)
//	activator:  request ─► Revisions ─► StatSender ── websocket ──► autoscaler
//	both:       request ─► QueueCollectors, ActivatorCollectors ◄── Prometheus
//
// Start with [Concurrency] and [Scrape] for a pod, with [Revisions] and
// [StatSender] for an activator. Package statpb has the messages.
//
// Every method may be called from any goroutine, and blocks on a short-held mutex
// at most. Only [StatSender.Run] starts goroutines, and waits for them. Where time
// is measured the caller passes it in. Nothing is logged.
package metrics
