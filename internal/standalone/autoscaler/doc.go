// Package autoscaler decides how many replicas a revision should have, by the algorithm of Knative's pod autoscaler (KPA).
//
//	queue-proxies ─ Scraper ─► Observe ─┐
//	activator's report ─────────────────┴─► Sample ─► Scaler.Record ─► stable and panic windows
//	                                                  Scaler.Tick ──► Decider (rates, panic, delay)
//	                                                       └────────► bounds, initial scale, way to zero ─► Decision
//
// It knows no processes: whoever owns them asks Tick and does what it says. Time is always passed in.
//
// # The algorithm
//
// One sample per second is kept for as long as the stable window (60 s). Its average over the window, or over the time
// since the first sample when that is shorter, divided by the target of one replica is what is wanted, but at most
// max-scale-up-rate times as many as are ready and at least 1/max-scale-down-rate of them. When the same over the panic
// window (6 s) asks for panic-threshold-percentage of what is ready, the larger of both counts, and nothing is taken away
// until the threshold has not been crossed for a stable window.
//
// # Differences from Knative
//
// Several samples of one second are averaged, not added up, so that a jittering clock doesn't look like load. Here the
// activator is always in the path, where Knative would take no grace at all before the last replica goes; the grace is
// kept because whoever tries the real defaults should see the real times: a revision is inactive after a stable window
// without load, and loses its last replica when it has been inactive for scale-to-zero-grace-period, or for
// scale-to-zero-pod-retention-period if that is longer, and no request is in flight or waiting.
// A revision whose first replica doesn't become ready loses it in the same way when nobody waits, where Knative would
// wait for the progress deadline of ten minutes.
//
// # Concurrency
//
// Scaler and Decider belong to one goroutine. Scraper is safe for concurrent use; a call blocks until the answer, the
// end of its context, or ScrapeTimeout.
package autoscaler
