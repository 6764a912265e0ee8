package manifest

import (
	"encoding/json"
	"fmt"
	"slices"
	"time"
)

// Pos is a place in a file; zero: in an object that came by the API.
type Pos struct {
	File string
	Line int
}

func (p Pos) String() string {
	if p == (Pos{}) {
		return "the API"
	}
	return fmt.Sprintf("%s:%d", p.File, p.Line)
}

// Errorf returns an error about a field at p.
func (p Pos) Errorf(field, format string, args ...any) error {
	return &Error{Pos: p, Field: field, Why: fmt.Sprintf(format, args...)}
}

// Place is a Pos with its field, a path such as spec.template.spec.volumes. It doesn't affect the identity of a revision.
type Place struct {
	Pos
	Field string
}

// Errorf returns an error about the field.
func (p Place) Errorf(format string, args ...any) error {
	return p.Pos.Errorf(p.Field, format, args...)
}

// Error is the error of one field. Its text is one line: file:line: field F: why; without Pos: field F: why.
type Error struct {
	Pos
	Field string // empty: the document
	Why   string
}

func (e *Error) Error() string {
	text := e.Why
	if e.Field != "" {
		text = "field " + e.Field + ": " + text
	}
	if e.Pos == (Pos{}) {
		return text
	}
	return e.Pos.String() + ": " + text
}

// Note is a field that is ignored, with the reason.
type Note struct {
	Place
	Why string
	// Limit is cpu or memory if the field is a limit of that resource, which some machines can enforce; else empty.
	Limit string
	// Contained: the field has its meaning in a container (podman, docker), and is ignored only for a process.
	Contained bool
}

// Service is one document.
type Service struct {
	Pos             Pos
	Namespace, Name string // Namespace is "default" if the document has none
	Template        Template
	Options         Options // for all revisions
	// Traffic is the split of requests. It is never empty: without spec.traffic the latest revision gets all.
	Traffic []Traffic
	// Ignored are the document's ignored fields, in the order of the file.
	Ignored []Note
	// Object is the document as Kubernetes has it, with its namespace: with the types of unstructured objects of
	// k8s.io/apimachinery. An object of the API is without its unknown fields.
	Object map[string]any
}

// Template describes a revision. Two templates that are Equal describe the same revision.
type Template struct {
	Name        string `json:"-"` // of the revision; empty: generated
	NamePos     Pos    `json:"-"`
	Annotations []Annotation
	Labels      []Annotation
	Options     Options `json:"-"` // they are in Annotations

	Container Container   // the app: the one that gets requests
	Sidecars  []Container // run beside it
	Init      []Container // run before them, one after the other
	Volumes   []Volume

	// ContainerConcurrency is how many requests one replica handles at a time; 0: no limit.
	ContainerConcurrency int
	// Timeout is that of a whole request, by default 300 s. The other two are off when 0.
	Timeout, ResponseStart, Idle time.Duration
	// Grace is how long containers may take to end after SIGTERM; nil: not set.
	Grace          *time.Duration
	Security       Security // of all containers that don't set their own
	ServiceAccount string   // for the downward API only
}

// Annotation of a template, or a label.
type Annotation struct {
	Key, Value string
	Pos        Pos `json:"-"`
}

// Container is a process.
type Container struct {
	Name, Image   string
	ImagePlace    Place `json:"-"` // of the image, or of a container without an image
	Command, Args []string
	CommandPlace  Place `json:"-"`
	WorkingDir    string
	EnvFrom       []EnvFrom
	Env           []EnvVar
	Port          int  // the containerPort, by default 8080; here the app listens on $PORT
	HasPort       bool // Port was set
	H2C           bool // the port's name is h2c: HTTP/2 without TLS
	Probe         Probe
	Liveness      *Probe
	Startup       *Probe
	Mounts        []Mount
	Resources     Resources
	PullPolicy    string // Always, Never, or "", which is IfNotPresent
	Security      Security
	// Stays: an init container that keeps running beside the app (restartPolicy Always).
	Stays bool

	portVar Place // of a PORT in Env, which is an error in the app
}

// Security is what a container runtime enforces; a process runs as the quickstart's user.
type Security struct {
	User, Group *int // nil: the image's
	ReadOnly    bool // the root file system; of a container only
}

// Resources are quantities in Kubernetes' notation, by name such as cpu or memory.
type Resources struct{ Limits, Requests map[string]string }

// EnvVar is one variable of a container's environment: its Value, in which $(NAME) stands for earlier ones, or From.
type EnvVar struct {
	Name, Value string
	From        *Source
}

// SourceKind is the kind of a value's source.
type SourceKind string

// The kinds. FromField and FromResource are of the replica itself: Kubernetes' downward API.
const (
	FromConfigMap SourceKind = "ConfigMap"
	FromSecret    SourceKind = "Secret"
	FromField     SourceKind = "field"
	FromResource  SourceKind = "resource"
)

// Source is the source of a value.
type Source struct {
	Kind      SourceKind
	Name, Key string // of a ConfigMap or Secret
	Optional  bool
	Path      string // of a field, such as metadata.name; of a resource, such as limits.cpu
	Container string // with the resource; empty: the same container
	Divisor   string // of a resource; empty: 1
	Place     Place  `json:"-"`
}

// EnvFrom sets a variable for each key of a ConfigMap or Secret, with Prefix before the name.
type EnvFrom struct {
	Prefix string
	Source Source
}

// Mount is the path at which a container expects a volume.
type Mount struct {
	Volume, Path string
	SubPath      string // of the volume
	SubPathExpr  bool   // SubPath has $(NAME) in it
	ReadOnly     bool   // in a container; a process can write
	Place        Place  `json:"-"`
}

// Volume is a directory that containers of a replica share.
type Volume struct {
	Name     string
	Place    Place  `json:"-"`
	HostPath string // a directory or file of the machine; empty: a directory of the replica's own
	Parts    []VolumePart

	readOnly bool // not to be written, as Knative has it for what isn't a directory of the replica's own
}

// VolumePart is a source of a volume's files: a ConfigMap, a Secret, or, if Source is nil, the sources of its Items.
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
	// Port is the port to probe; 0: $PORT. The app's own port is 0, too.
	Port int
	Host string // empty: the replica's own

	// Period 0 is Knative's aggressive probing: as often as needed.
	Delay, Period, Timeout    time.Duration
	SuccessThreshold, Failure int
	// Grace is the grace period of a restart by this probe; nil: the template's.
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

// Equal reports whether t and u describe the same revision, regardless of names and positions.
func (t *Template) Equal(u *Template) bool { return t.digest() == u.digest() }

// digest encodes all fields of t that affect a revision.
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

// All returns the containers in the order in which they start: those of Init, the app, the sidecars.
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

// Beside reports whether c, which is of t, is a sidecar: one that runs as long as the app.
func (t *Template) Beside(c *Container) bool {
	return c.Stays || slices.ContainsFunc(t.Sidecars, func(s Container) bool { return s.Name == c.Name })
}

// Budget returns how long a startup probe may fail: its delay and all of its periods.
func (p *Probe) Budget() time.Duration {
	const most = 100 * 365 * 24 * time.Hour // avoids an overflow
	period := max(p.Period, p.Timeout)
	if p.Failure > int((most-p.Delay)/period) {
		return most
	}
	return p.Delay + time.Duration(p.Failure)*period
}

// Default reports whether p is the default readiness probe.
func (p *Probe) Default() bool {
	return p.TCP && p.Port == 0 && p.Host == "" && p.Period == 0 && p.Delay == 0
}
