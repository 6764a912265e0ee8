// Package throttler decides who may go where, and when: it bounds how many requests are in flight, holds the rest in
// order, and picks a pod for each.
//
//	Demand ──► revision ──► a free slot? ──yes──► pick a pod ──► Lease ──► Release(Outcome)
//	                            │ no                  ▲                        │
//	                            ▼                     └── oldest waiter ◄──────┤ the freed slot
//	                     queue, oldest first ─────────────────┘                └ a dead pod is ejected for a while
//
// [Breaker] bounds one process, as beside an app. [Throttler] bounds many revisions, each with a changing set of pods
// with slots of their own. Neither logs, knows HTTP or Kubernetes, or starts a goroutine.
//
// # Order
//
// A queue is strictly first in, first out: a freed slot is handed to the oldest waiter while the lock is held, so
// that no late arrival can take it. A request that comes back after an attempt that did not reach a pod gives its
// first time in [Demand.Enqueued] and waits in its old place. Who may be given own pods only ([Demand.NoSpillover]) does
// not hold up the lending of other pods to those behind.
//
// # Invariants
//
//   - No pod is given more leases than it has slots. When slots shrink or a pod goes away and comes back, leases
//     given before still count until they end.
//   - While somebody waits for a revision, no pod that the request may be given has a free slot.
//   - A waiter is woken exactly when it has been given a slot or can't get one any more.
//
// # Concurrency
//
// All methods may be called from any goroutine. A revision has one lock over its pods, free slots and waiters, so
// that admission and the choice of a pod are one step. A second lock puts its writers in a row, so that the work of
// comparing long lists of pods is done outside the first. Writers of one revision don't delay requests to others.
// Bounds over all revisions are atomics, behind a lock over what each client has waiting, which is taken last. A waiter is a pooled object with a channel that holds one: grant and
// cancellation are decided under the lock, and the channel is written after it; a slot granted to a waiter that
// has given up in between is passed on. A Place has no channel: tell is called after the lock instead, and what it was given
// is its owner's to take, or to give back, when it leaves. The pools belong to a Breaker or a Throttler, none to the package.
// The end of a pod's ejection is a timer per revision whose callback only takes that revision's lock.
package throttler
