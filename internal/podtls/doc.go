// Package podtls implements the activator's side of Knative's system-internal-tls: its own certificate, and which
// certificates of pods it accepts.
//
//	Secret routing-serving-certs ──► SetSecret ───────┐          ┌──► Server: the activator's TLS port
//	                                                  ├─► Store ┤
//	ConfigMaps with trust bundles ─► SetTrustBundles ─┘          └──► Client: per namespace, to pods
//
// A pod presents a certificate for kn-user-<namespace>, so that a pod can't impersonate one of another namespace.
// Connections to pods use data-plane.knative.dev as SNI and present no client certificate.
//
// With internal-encryption, up to Knative 1.11, the Secret is knative-serving-certs and all certificates are for
// data-plane.knative.dev.
//
// Invalid data changes nothing: the last valid certificate and the last valid roots stay in use.
//
// # Concurrency
//
// A [Store] has no goroutine. Its methods may be called concurrently and block only on a mutex that setters hold while
// they parse; [Store.Client] and handshakes take no lock. A change applies to later handshakes. Configurations that were
// returned before keep their roots, so that their connections can be drained.
package podtls
