package manifest

import (
	"fmt"
	"time"
)

// Pos is a place in a file.
type Pos struct {
	File string
	Line int
}

func (p Pos) String() string { return fmt.Sprintf("%s:%d", p.File, p.Line) }

// Errorf is an error about a field at p.
func (p Pos) Errorf(field, format string, args ...any) error {
	return &Error{Pos: p, Field: field, Why: fmt.Sprintf(format, args...)}
}

// Error is what is wrong with one field. Its text is one line: file:line: field F: why.
type Error struct {
	Pos
	Field string // a path such as spec.template.spec.volumes; empty: the document
	Why   string
}

func (e *Error) Error() string {
	if e.Field == "" {
		return fmt.Sprintf("%s: %s", e.Pos, e.Why)
	}
	return fmt.Sprintf("%s: field %s: %s", e.Pos, e.Field, e.Why)
}

// Service is one document.
type Service struct {
	Pos             Pos
	Namespace, Name string // Namespace is "default" when the document has none
	Template        Template
	// Traffic is how requests are split; never empty: without spec.traffic the latest revision gets all.
	Traffic []Traffic
}

// Template is what a revision is made of. Two templates that Equal make the same revision.
type Template struct {
	Name        string // of the revision; empty: made up
	NamePos     Pos
	Annotations []Annotation // in the order of the file
	Container   Container

	// ContainerConcurrency is the most requests that one replica handles at a time; 0: no limit.
	ContainerConcurrency int
	// Timeout is that of a whole request: 300 s unless the document says otherwise. The other two are off when 0.
	Timeout, ResponseStart, Idle time.Duration
}

// Annotation of a template.
type Annotation struct {
	Key, Value string
	Pos        Pos
}

// Container is the app.
type Container struct {
	Image         string
	Pos           Pos // of the image, or of the container when it has none
	Command, Args []string
	WorkingDir    string
	Env           []EnvVar
	Port          int  // that an app in a container would listen on; here it's $PORT. 8080 when not said
	H2C           bool // the port's name is h2c: HTTP/2 without TLS
	Probe         Probe
}

// EnvVar is one variable of the app's environment.
type EnvVar struct{ Name, Value string }

// Probe is a readiness probe of the app: exactly one of HTTP, TCP and GRPC. It always goes to $PORT.
type Probe struct {
	HTTP *HTTPProbe
	TCP  bool
	GRPC *GRPCProbe

	// Period 0 is Knative's aggressive probing: as often as it takes.
	Period, Timeout           time.Duration
	SuccessThreshold, Failure int
}

// HTTPProbe is httpGet.
type HTTPProbe struct {
	Path, Scheme string
	Headers      []EnvVar
}

// GRPCProbe is a health check of gRPC.
type GRPCProbe struct{ Service string }

// Traffic is one entry of spec.traffic.
type Traffic struct {
	Pos      Pos
	Revision string // empty: the latest
	Percent  int
	Tag      string
}

// Equal reports whether t and u make the same revision, whatever it is called and wherever it stands.
func (t *Template) Equal(u *Template) bool { return t.digest() == u.digest() }

// digest is all of t that the app or its treatment depends on.
func (t *Template) digest() string {
	notes := make([]EnvVar, len(t.Annotations))
	for i, a := range t.Annotations {
		notes[i] = EnvVar{a.Key, a.Value}
	}
	c := t.Container
	probe := fmt.Sprintf("%t %v %v %d %d", c.Probe.TCP, c.Probe.Period, c.Probe.Timeout, c.Probe.SuccessThreshold, c.Probe.Failure)
	if h := c.Probe.HTTP; h != nil {
		probe += fmt.Sprintf(" http %q", *h)
	}
	if g := c.Probe.GRPC; g != nil {
		probe += fmt.Sprintf(" grpc %q", *g)
	}
	return fmt.Sprintf("%q %q %q %q %q %q %d %t %s %d %v %v %v", notes, c.Image, c.Command, c.Args, c.WorkingDir, c.Env,
		c.Port, c.H2C, probe, t.ContainerConcurrency, t.Timeout, t.ResponseStart, t.Idle)
}

// Annotation returns the value of key, or "".
func (t *Template) Annotation(key string) string {
	for _, a := range t.Annotations {
		if a.Key == key {
			return a.Value
		}
	}
	return ""
}
