// Package objects describes the state of the quickstart as the objects that a cluster with Knative would have: from each Service
// its Configuration, Route and Revisions, and from those their PodAutoscalers, ServerlessServices, Ingresses, Deployments,
// Services, EndpointSlices and Pods; and Events.
//
// It computes: it neither stores nor changes anything.
package objects

import (
	"time"

	"k8s.io/apimachinery/pkg/runtime/schema"

	"github.com/sluice-proxy/sluice/internal/standalone/kubeapi"
)

// Item is an object and its resource.
type Item struct {
	Resource schema.GroupResource
	Object   kubeapi.Object
}

// Lookup returns the present version of an object; nil: there is none. uid, creationTimestamp and the times of conditions that
// haven't changed are taken over from it.
type Lookup func(r schema.GroupResource, namespace, name string) kubeapi.Object

// Service is a service's state.
type Service struct {
	// Object is the Service as stored, with its metadata.
	Object kubeapi.Object
	// URL of the service, and Address, its URL for other services.
	URL, Address string
	// LatestCreated and LatestReady are names of revisions; LatestReady may be "".
	LatestCreated, LatestReady string
	Traffic                    []Traffic // as routed
	Revisions                  []Revision
}

// Traffic is a target of the route.
type Traffic struct {
	Revision string
	Latest   bool // it follows the latest ready revision
	Percent  int64
	Tag      string
	URL      string // of the tag
}

// State of a revision or of a container.
type State string

// The states, of a condition's status.
const (
	True    State = "True"
	False   State = "False"
	Unknown State = "Unknown"
)

// Revision is a revision's state.
type Revision struct {
	// Template is the object's spec.template when the revision was made: metadata and spec.
	Template   map[string]any
	Name       string
	Generation int64 // of the Configuration when it was made
	Created    time.Time
	// Ready, Reason and Message: whether it can serve, or why it can't. Reasons are Knative's, such as ExitCode1.
	Ready           State
	Reason, Message string
	// Routed: traffic or a tag leads to it.
	Routed          bool
	Desired, Actual int64 // replicas: wanted, ready
	MinScale        int64
	MaxScale        int64 // 0: no limit
	Pods            []Pod
}

// Pod is a replica's state.
type Pod struct {
	Name, UID  string
	Created    time.Time
	Ending     time.Time // since when it is terminating; zero: it isn't
	Ready      bool
	App, Proxy int64 // ports of the app and of the queue-proxy
	// Reason and Message of a pod that isn't ready.
	Reason, Message string
	Containers      []Container // of the app, its sidecars, and the queue-proxy
	Init            []Container
}

// Container is a process's state.
type Container struct {
	Name, Image string
	Running     bool
	Started     time.Time
	Ready       bool
	Restarts    int64
	Waiting     string // a reason such as ContainerCreating or CrashLoopBackOff; "" when it runs or has ended
	Message     string
	Ended       bool // for good (an init container) or the last time before Waiting
	ExitCode    int64
	EndedAt     time.Time
	EndReason   string // such as Completed, Error, OOMKilled
}

// Of returns the objects of a service, its own with status first.
func Of(s Service, present Lookup, now time.Time) []Item { panic("later") }

// Kinds returns the resources of the quickstart's API, without their Admit.
func Kinds() []kubeapi.Resource { panic("later") }
