// Package podtls keeps what Knative's system-internal-tls needs: the activator's own certificate, and which certificates
// of pods it accepts.
//
//	Secret routing-serving-certs ──► SetSecret ───────┐          ┌──► Server: the activator's TLS port
//	                                                  ├─► Keeper ┤
//	ConfigMaps with trust bundles ─► SetTrustBundles ─┘          └──► Client: per namespace, to pods
//
// A pod shows a certificate for kn-user-<namespace>, so that one namespace's pod can't stand in for another's. Requests
// ask for data-plane.knative.dev (SNI) whatever the pod, and show no certificate of their own.
//
// With internal-encryption, as it was up to Knative 1.11, the Secret is knative-serving-certs and all certificates are for
// data-plane.knative.dev.
//
// What can't be used changes nothing: the last good certificate and the last good roots stay.
//
// # Concurrency
//
// A [Keeper] has no goroutine. Its methods may be called concurrently and block on nothing but a mutex that setters hold
// while they parse; [Keeper.Client] and handshakes take none. A change counts for handshakes from then on. Configurations
// given out earlier keep the roots they had, so that connections made with them can be let go of in peace.
package podtls
