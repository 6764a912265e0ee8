package objects

import "time"

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
