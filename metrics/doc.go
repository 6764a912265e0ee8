// Package metrics measures what the proxies do and tells the autoscaler and
// Prometheus.
//
//	request ─► Concurrency ─► Report ─► Stat ─► Scrape ◄─ autoscaler (pod, :9090)
//	request ─► Revisions ─► WireStatMessages ─► StatSender ──► autoscaler (activator, websocket)
//	request ─► QueueCollectors, ActivatorCollectors ◄─ Prometheus
//
// A pod measures itself: each request calls [Concurrency.Start] and
// [Concurrency.End], and once a second somebody turns the [Report] into a Stat
// and gives it to [Scrape.Set]. The activator measures each revision with
// [Revisions] and pushes through a [StatSender]. The messages are in package statpb.
//
// # Concurrency
//
// The package starts goroutines in one place: [StatSender.Run] owns the connection
// and the goroutines that read it and ping over it, and waits for them.
// Everything else runs on the caller's goroutine and blocks at most on a mutex
// held for nanoseconds. The clock is passed in where time is measured.
// Nothing here logs: a sender tells its state to its owner's callback.
package metrics
