// Package throttler limits how many requests are in progress, queues the rest in
// order of arrival, and picks a pod for each.
//
//	Demand ─► revision ─► a free slot? ──yes──► a pod ──► Lease ─► Release(Outcome)
//	                           │ no               ▲                      │
//	                           ▼                  │  the freed slot      │
//	              queue, oldest first ────────────┴──────────────────────┘
//
// Start with [Breaker], which limits one app, or with [Throttler], which limits many
// revisions whose pods change: [Throttler.Acquire] waits for a slot of a pod and
// returns a [Lease] on it; [Backend] describes a pod.
//
//   - Strictly first in, first out: a freed slot goes to the oldest waiting request
//     while the lock is held, so no late arrival can take it.
//   - No pod has more leases than slots. If its slots shrink, or it disappears and
//     comes back, leases given before still count until they are released.
//   - While a request waits, no pod that may serve it has a free slot.
//
// Requests with a [Demand.Key] go to the same pod while it stays and has room. Pods are chosen by rendezvous hashing, so
// that one that comes or goes moves only its own share of the keys, and several activators choose alike. With a [Turn],
// requests of one key are in progress one at a time, in order of arrival.
//
// Every method may be called from any goroutine. Only Acquire blocks, until it
// has a slot or its context ends. The package starts no goroutine, and knows
// neither HTTP nor Kubernetes.
package throttler
