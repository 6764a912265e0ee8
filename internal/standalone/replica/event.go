package replica

import (
	"encoding/json"
	"io"
	"sync"
	"time"
)

// Kind of an Event.
type Kind string

// The kinds.
const (
	Started   Kind = "started"   // a process: PID
	Exited    Kind = "exited"    // a process: Status, Text; if it is restarted, also RestartIn
	Failed    Kind = "failed"    // a process could not be started: Text
	Line      Kind = "line"      // a process wrote Text
	Silent    Kind = "silent"    // the app has run for a while and doesn't listen
	Strayed   Kind = "strayed"   // the app listens on Ports, but not on its own port
	Completed Kind = "completed" // an init container has succeeded
	Listens   Kind = "listens"   // the app listens on its port, after Silent or Strayed
	Taken     Kind = "taken"     // another program listens on the app's port
)

// Process is the name of a replica's process. Init containers and sidecars have their own names.
type Process string

// The processes of every replica.
const (
	App        Process = "app"
	QueueProxy Process = "queue-proxy"
)

// Event is an event of a replica. The event pipe carries it as a line of JSON.
type Event struct {
	Time    time.Time
	Kind    Kind
	Process Process
	PID     int    `json:",omitempty"`
	Status  string `json:",omitempty"` // such as "exit status 7" or "signal: killed"
	Code    int    `json:",omitempty"` // of an exit: its status, or 128 and the signal's number, as in a shell
	// Text is a line of output, why a start failed, or the last informative line of standard error before an exit.
	Text  string `json:",omitempty"`
	Ports []int  `json:",omitempty"`
	// RestartIn is the time until the process is restarted; Restarts is the number of restarts so far.
	RestartIn time.Duration `json:",omitempty"`
	Restarts  int           `json:",omitempty"`
	// With is the process whose end took the network of this one with it, so that it had to end.
	With Process `json:",omitempty"`
}

// reporter writes events to a pipe. It is safe for concurrent use. It ignores errors: they mean that the reader has ended.
type reporter struct {
	mu  sync.Mutex
	enc *json.Encoder
}

func newReporter(w io.Writer) *reporter { return &reporter{enc: json.NewEncoder(w)} }

func (r *reporter) report(e Event) {
	e.Time = time.Now()
	r.mu.Lock()
	defer r.mu.Unlock()
	_ = r.enc.Encode(e)
}
