package objects

import "github.com/sluice-proxy/sluice/internal/standalone/kubeapi"

// Service is a service's state.
type Service struct {
	// Object is the Service as stored, with its metadata and Knative's defaults.
	Object kubeapi.Object
	// URL of the service, and Address, its URL for other services.
	URL, Address string
	// LatestCreated and LatestReady are names of revisions; LatestReady may be "".
	LatestCreated, LatestReady string
	Traffic                    []Traffic // as routed
	Revisions                  []Revision
	// Node is the name of the machine; "": sluice.
	Node string
}

// revision returns the state of a revision; nil: there is none.
func (s *Service) revision(name string) *Revision {
	for i := range s.Revisions {
		if s.Revisions[i].Name == name {
			return &s.Revisions[i]
		}
	}
	return nil
}
