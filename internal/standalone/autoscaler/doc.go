// Package autoscaler decides how many replicas a revision should have, by the algorithm of Knative's pod autoscaler (KPA).
//
//	queue-proxies ─ Scraper ─► Observe ─┐
//	activator's report ─────────────────┴─► Sample ─► Scaler.Record ─► stable and panic windows
//	                                                  Scaler.Tick ──► Decider (rates, panic, delay)
//	                                                       └────────► bounds, initial scale, way to zero ─► Decision
//
// It starts no processes: their owner calls Tick and applies its Decision. Time is always a parameter.
//
// # The algorithm
//
// There is one sample per second for the length of the stable window (60 s). The desired number of replicas is the average
// over the window, or over the time since the first sample if that is shorter, divided by the target of one replica. It is
// at most max-scale-up-rate times and at least 1/max-scale-down-rate of the ready replicas. If the same computation over
// the panic window (6 s) needs panic-threshold-percentage of the ready replicas, the larger number counts, and no replica is
// removed until the load has been below the threshold for a stable window.
//
// # Differences from Knative
//
// Several samples of one second are averaged, not added, so that jitter of the clock doesn't count as load. The activator
// is always in the path; in that case Knative removes the last replica without the grace period. Here the grace period
// applies, so that a user sees the times of a cluster: a revision is inactive after a stable window without load, and loses
// its last replica when it has been inactive for scale-to-zero-grace-period, or for scale-to-zero-pod-retention-period if
// that is longer, and no request is in flight or waiting. A revision whose first replica doesn't become ready loses it in
// the same way if no request waits; Knative waits for the progress deadline of ten minutes.
//
// # Concurrency
//
// Scaler and Decider belong to one goroutine. Scraper is safe for concurrent use; a call blocks until the answer, the
// end of its context, or ScrapeTimeout.
package autoscaler
