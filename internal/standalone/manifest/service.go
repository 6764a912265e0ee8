package manifest

import (
	"encoding/json"
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

// Place is a Pos and the field that stands there, a path such as spec.template.spec.volumes. It is no part of what a
// revision is.
type Place struct {
	Pos
	Field string
}

// Errorf is an error about the field.
func (p Place) Errorf(format string, args ...any) error {
	return p.Pos.Errorf(p.Field, format, args...)
}

// Error is what is wrong with one field. Its text is one line: file:line: field F: why.
type Error struct {
	Pos
	Field string // empty: the document
	Why   string
}

func (e *Error) Error() string {
	if e.Field == "" {
		return fmt.Sprintf("%s: %s", e.Pos, e.Why)
	}
	return fmt.Sprintf("%s: field %s: %s", e.Pos, e.Field, e.Why)
}

// Note is a field that has no meaning here, and why.
type Note struct {
	Place
	Why string
	// Limit is the resource whose limit it is, cpu or memory, which some machines can hold; empty: it is none.
	Limit string
}

// Service is one document.
type Service struct {
	Pos             Pos
	Namespace, Name string // Namespace is "default" when the document has none
	Template        Template
	// Traffic is how requests are split; never empty: without spec.traffic the latest revision gets all.
	Traffic []Traffic
	// Ignored is what the document says that has no meaning here, in the order of the file.
	Ignored []Note
}

// Template is what a revision is made of. Two templates that Equal make the same revision.
type Template struct {
	Name        string `json:"-"` // of the revision; empty: made up
	NamePos     Pos    `json:"-"`
	Annotations []Annotation
	Labels      []Annotation

	Container Container   // the app: the one that gets requests
	Sidecars  []Container // run beside it
	Init      []Container // run before them, one after the other
	Volumes   []Volume

	// ContainerConcurrency is the most requests that one replica handles at a time; 0: no limit.
	ContainerConcurrency int
	// Timeout is that of a whole request: 300 s unless the document says otherwise. The other two are off when 0.
	Timeout, ResponseStart, Idle time.Duration
	// Grace is how long containers may take to end after SIGTERM; nil: not said.
	Grace          *time.Duration
	ServiceAccount string // a name that the downward API gives
}

// Annotation of a template, or a label.
type Annotation struct {
	Key, Value string
	Pos        Pos `json:"-"`
}

// Container is a process.
type Container struct {
	Name, Image   string
	ImagePlace    Place `json:"-"` // of the image, or of the container when it has none
	Command, Args []string
	CommandPlace  Place `json:"-"`
	WorkingDir    string
	EnvFrom       []EnvFrom
	Env           []EnvVar
	Port          int  // that an app in a container would listen on; here it's $PORT. 8080 when not said
	HasPort       bool // said
	H2C           bool // the port's name is h2c: HTTP/2 without TLS
	Probe         Probe
	Liveness      *Probe
	Startup       *Probe
	Mounts        []Mount
	Resources     Resources
	// Stays: an init container that goes on running beside the app (restartPolicy Always).
	Stays bool

	portVar Place // of a PORT in Env, which the app may not have
}

// Resources are quantities in Kubernetes' notation, by name such as cpu or memory.
type Resources struct{ Limits, Requests map[string]string }

// EnvVar is one variable of a container's environment: its Value, in which $(NAME) stands for earlier ones, or From.
type EnvVar struct {
	Name, Value string
	From        *Source
}

// SourceKind says where a value comes from.
type SourceKind string

// The kinds. FromField and FromResource are of the replica itself: Kubernetes' downward API.
const (
	FromConfigMap SourceKind = "ConfigMap"
	FromSecret    SourceKind = "Secret"
	FromField     SourceKind = "field"
	FromResource  SourceKind = "resource"
)

// Source is where a value comes from.
type Source struct {
	Kind      SourceKind
	Name, Key string // of a ConfigMap or Secret
	Optional  bool
	Path      string // of a field, such as metadata.name; of a resource, such as limits.cpu
	Container string // whose resource it is; empty: the container's own
	Divisor   string // of a resource; empty: 1
	Place     Place  `json:"-"`
}

// EnvFrom takes all of a ConfigMap or Secret as variables, with Prefix before each name.
type EnvFrom struct {
	Prefix string
	Source Source
}

// Mount is where a container expects a volume.
type Mount struct {
	Volume, Path string
	SubPath      string // of the volume
	SubPathExpr  bool   // SubPath has $(NAME) in it
	Place        Place  `json:"-"`
}

// Volume is a directory that containers of a replica share.
type Volume struct {
	Name     string
	Place    Place  `json:"-"`
	HostPath string // a directory or file of the machine; empty: a directory of the replica's own
	Parts    []VolumePart
}

// VolumePart is what fills a volume: a ConfigMap, a Secret, or, when Source is nil, its Items' own sources.
type VolumePart struct {
	Source *Source // its Key is empty
	Items  []VolumeItem
	Mode   uint32
}

// VolumeItem is one file of a volume. Mode 0: that of the VolumePart.
type VolumeItem struct {
	Key, Path string
	Mode      uint32
	Source    *Source
}

// Probe is a probe of a container: exactly one of HTTP, TCP, GRPC and Exec.
type Probe struct {
	HTTP *HTTPProbe
	TCP  bool
	GRPC *GRPCProbe
	Exec []string
	// Port is where it asks; 0: $PORT. Of the app its own port is 0.
	Port int
	Host string // empty: the replica's own

	// Period 0 is Knative's aggressive probing: as often as it takes.
	Delay, Period, Timeout    time.Duration
	SuccessThreshold, Failure int
	// Grace is that of a restart, when not nil.
	Grace *time.Duration
}

// HTTPProbe is httpGet.
type HTTPProbe struct {
	Path, Scheme string
	Headers      []Header
}

// Header of an HTTP probe.
type Header struct{ Name, Value string }

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
	text, err := json.Marshal(t)
	if err != nil {
		panic(err) // strings and numbers
	}
	return string(text)
}

// Annotation returns the value of key, or "".
func (t *Template) Annotation(key string) string { return find(t.Annotations, key) }

func find(all []Annotation, key string) string {
	for _, a := range all {
		if a.Key == key {
			return a.Value
		}
	}
	return ""
}

// All are the containers in the order in which they start: those of Init, the app, the sidecars.
func (t *Template) All() []*Container {
	var all []*Container
	for i := range t.Init {
		all = append(all, &t.Init[i])
	}
	all = append(all, &t.Container)
	for i := range t.Sidecars {
		all = append(all, &t.Sidecars[i])
	}
	return all
}

// Budget is how long a startup probe may fail: what its periods take together, after its delay.
func (p *Probe) Budget() time.Duration {
	const most = 100 * 365 * 24 * time.Hour // as good as for ever, and no overflow
	period := max(p.Period, p.Timeout)
	if p.Failure > int((most-p.Delay)/period) {
		return most
	}
	return p.Delay + time.Duration(p.Failure)*period
}

// Default reports whether p is what a container has that says nothing of its readiness.
func (p *Probe) Default() bool {
	return p.TCP && p.Port == 0 && p.Host == "" && p.Period == 0 && p.Delay == 0
}
