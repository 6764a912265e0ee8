package screen

import (
	"fmt"
	"strings"
)

// Service is what is shown of a service.
type Service struct {
	Name, URL string
	Latest    string // revision
	State     State
	// Actual and Desired are replicas over all revisions.
	Actual, Desired int
	// Revisions are those with traffic, a tag or replicas, and the latest, which is the first.
	Revisions []Revision
}

// NameOf returns the name that is shown of a service, with its namespace unless that is Kubernetes' default.
func NameOf(namespace, name string) string {
	if namespace == "default" {
		return name
	}
	return namespace + "/" + name
}

// Revision is what is shown of a revision.
type Revision struct {
	Name            string
	Percent         int      // of the service's requests
	URLs            []string // of its tags
	Actual, Desired int      // replicas
	State           State
	Reason          string // why it is not ready, or another remark; may be empty
}

// State of a service or revision.
type State string

// The states.
const (
	Ready    State = "ready"
	Starting State = "starting"
	NotReady State = "not ready"
)

// reason returns the first reason of a revision.
func (s *Service) reason() string {
	for _, r := range s.Revisions {
		switch {
		case r.Reason == "":
		case r.Name == s.Latest:
			return r.Reason
		default:
			return r.Name + ": " + r.Reason
		}
	}
	return ""
}

// plain reports whether the line of s has all that there is to say about its revisions.
func (s *Service) plain() bool {
	return len(s.Revisions) == 1 && s.Revisions[0].Percent == 100 && len(s.Revisions[0].URLs) == 0
}

// lines returns the line of s, and one for each of its revisions unless s is plain. The number of replicas is only in the first:
// it changes most often.
func (s *Service) lines() []string {
	all := []string{fmt.Sprintf("service %s: %s, latest %s, replicas %d/%d, %s", s.Name, s.State, s.Latest, s.Actual, s.Desired, s.URL) +
		remark(s.reason())}
	if s.plain() {
		return all
	}
	for _, r := range s.Revisions {
		parts := append([]string{fmt.Sprintf("%s, %d%% of %s", r.State, r.Percent, s.Name)}, r.URLs...)
		all = append(all, fmt.Sprintf("revision %s: ", r.Name)+strings.Join(parts, ", ")+remark(r.Reason))
	}
	return all
}

// remark returns why in parentheses.
func remark(why string) string {
	if why == "" {
		return ""
	}
	return " (" + why + ")"
}
