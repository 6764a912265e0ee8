package activator

import "github.com/sluice-proxy/sluice/proxy"

// RevisionOf finds the revision that a request is for, by its header as the client sent it: for a policy of
// [Config.WrapPolicy], in its Begin. False when the request names none, or none that is known. It takes a read lock.
func (a *Activator) RevisionOf(req *proxy.Request) (Revision, bool) {
	namespace, name, ok := resolve(req, a.config.ClusterDomain)
	if !ok {
		return Revision{}, false
	}
	if t := a.revisions.get(namespace, name); t != nil {
		if s := t.spec.Load(); s != nil {
			return s.Revision, true
		}
	}
	return Revision{}, false
}
