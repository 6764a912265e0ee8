// Package ingress finds the revision that a request is for, by its Host, as Knative's gateway would.
//
//	request ──► Ingress: Host ─► Route ─► revision by weight ─► headers ──► next (the activator's policy)
//	              └─► 404 that lists the hosts there are
//
// A service is known as SERVICE.NAMESPACE followed by the ingress's domain, svc, svc.cluster.local, localhost, or nothing;
// TAG-SERVICE stands for one target of its split, and the name of a revision for that revision alone. A port after the
// host is not looked at. When names clash, a service is preferred to a tag, and a tag to a revision.
//
// # Concurrency
//
// An Ingress is a proxy.Policy around another (Wrap), safe for concurrent use. It starts no goroutine. SetRoutes replaces all routes at once; a request is
// routed by those that stand when its head has been read.
package ingress
