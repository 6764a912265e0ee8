// Package ingress routes requests to revisions by their Host, like Knative's gateway.
//
//	request ──► Ingress: Host ─► Route ─► revision by weight ─► headers ──► next (the activator's policy)
//	              └─► 404 that lists the hosts
//
// A service's host is SERVICE.NAMESPACE followed by the ingress's domain, svc, svc.cluster.local, localhost, or nothing;
// TAG-SERVICE is one target of its split, and the name of a revision that revision alone. The port of a host is ignored. If
// names clash, a service takes precedence over a tag, and a tag over a revision.
//
// # Concurrency
//
// An Ingress is a proxy.Policy around another (Wrap), safe for concurrent use. It starts no goroutine. SetRoutes replaces
// all routes at once; a request uses those at the time when its head has been read.
package ingress
