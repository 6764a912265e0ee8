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
	Exited    Kind = "exited"    // a process: Status, Text; of what is started again also RestartIn
	Failed    Kind = "failed"    // a process could not be started: Text
	Line      Kind = "line"      // a process wrote Text
	Silent    Kind = "silent"    // the app has run for a while and listens nowhere
	Strayed   Kind = "strayed"   // the app listens on Ports, and not on its own
	Completed Kind = "completed" // an init container has succeeded
	Listens   Kind = "listens"   // the app listens on its port, after Silent or Strayed
	Taken     Kind = "taken"     // somebody else listens on the app's port
)

// Process of a replica. Those beside the app have names of their own.
type Process string

// The processes of every replica.
const (
	App        Process = "app"
	QueueProxy Process = "queue-proxy"
)

// Event is something that happened in a replica. It crosses the event pipe as a line of JSON.
type Event struct {
	Time    time.Time
	Kind    Kind
	Process Process
	PID     int    `json:",omitempty"`
	Status  string `json:",omitempty"` // such as "exit status 7" or "signal: killed"
	// Text is a line of output, or why a start failed, or the last line of standard error that said something before an exit.
	Text  string `json:",omitempty"`
	Ports []int  `json:",omitempty"`
	// RestartIn is when the process will be started again; Restarts counts how often it was.
	RestartIn time.Duration `json:",omitempty"`
	Restarts  int           `json:",omitempty"`
}

// reporter writes events to a pipe. Safe for concurrent use. Errors are dropped: they mean that nobody reads any more.
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
