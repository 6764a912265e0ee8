package manifest

import (
	"errors"
	"fmt"
	"net/url"
	"regexp"
	"slices"
	"strings"

	"go.yaml.in/yaml/v3"
)

// The versions of Knative Eventing's API (knative.dev/eventing/config/core/resources). The older one of PingSources has the same fields.
const (
	eventingVersion = "eventing.knative.dev/v1"
	sourcesVersion  = "sources.knative.dev/v1"
	oldPingVersion  = "sources.knative.dev/v1beta2"
)

// eventingVersions has the version of each kind that is read; eventingKinds are all kinds of these groups, to detect misspelt ones.
var (
	eventingVersions = map[string]string{
		string(KindBroker): eventingVersion, string(KindTrigger): eventingVersion,
		string(KindPingSource): sourcesVersion, string(KindContainerSource): sourcesVersion, string(KindSinkBinding): sourcesVersion,
	}
	eventingKinds = map[string][]string{
		"eventing.knative.dev": {"Broker", "Trigger", "EventType", "EventPolicy", "EventTransform", "RequestReply"},
		"sources.knative.dev":  {"PingSource", "ContainerSource", "SinkBinding", "ApiServerSource", "IntegrationSource"},
	}
)

// eventingFields are the fields of a document of Eventing.
func eventingFields(version, kind string, on owner, spec func(*reader, node, *Eventing)) []field[Eventing] {
	return slices.Concat([]field[Eventing]{
		{name: "apiVersion", note: version, read: func(r *reader, n node, _ *Eventing) { r.text(n) }},
		{name: "kind", note: "`" + kind + "`", read: func(r *reader, n node, _ *Eventing) { r.text(n) }},
		{name: "metadata", note: "see metadata", read: func(r *reader, n node, e *Eventing) { r.eventingMetadata(n, e, on) }},
		{name: "spec", note: "see " + kind + "Spec", read: func(r *reader, n node, e *Eventing) {
			r.hasSpec = true
			spec(r, n, e)
		}},
	}, recorded[Eventing]("what a cluster found", "status"))
}

func (r *reader) eventingMetadata(n node, e *Eventing, on owner) {
	var m metadata
	readObject(r, n, metadataTable, &m)
	if m.namespace != "" {
		e.Namespace = m.namespace
	}
	if m.nameAt.Node != nil {
		e.Name = r.objectName(m.nameAt)
	}
	r.labels(m.labels, on)
	annotations := r.annotations(m.annotations, on)
	switch {
	case e.Broker != nil:
		e.Broker.Class = find(annotations, BrokerClassKey)
	case e.Trigger != nil:
		r.triggerAnnotations(m.annotations, annotations, e)
	}
}

// eventing reads a document of Eventing.
func (r *reader) eventing(n node, kind EventingKind) *Eventing {
	e := &Eventing{Pos: r.pos(n), Kind: kind, Namespace: defaultNamespace}
	readEventing(r, n, e)
	missing := func(field string) { r.errorf(node{n.Node, join(n.path, field)}, "missing") }
	if e.Name == "" && len(r.errs) == 0 {
		missing("metadata.name")
	}
	if !r.hasSpec && kind != KindBroker && len(r.errs) == 0 {
		missing("spec")
	}
	if len(r.errs) == 0 {
		r.checkEventing(n, e)
	}
	e.Ignored = r.ignored
	if e.Object = r.document(n, e.Namespace); e.Object != nil {
		e.Object["apiVersion"] = eventingVersions[string(kind)]
	}
	return e
}

// readEventing reads n by the table of its kind.
func readEventing(r *reader, n node, e *Eventing) {
	switch e.Kind {
	case KindBroker:
		e.Broker = &Broker{}
		readObject(r, n, brokerTable, e)
	case KindTrigger:
		e.Trigger = &Trigger{}
		readObject(r, n, triggerTable, e)
	case KindPingSource:
		e.PingSource = &PingSource{}
		readObject(r, n, pingTable, e)
	case KindContainerSource:
		e.ContainerSource = &ContainerSource{}
		readObject(r, n, containerSourceTable, e)
	case KindSinkBinding:
		e.SinkBinding = &SinkBinding{}
		readObject(r, n, sinkBindingTable, e)
	}
}

// checkEventing checks what depends on the metadata, which may follow the spec.
func (r *reader) checkEventing(n node, e *Eventing) {
	at := func(field string) node { return node{n.Node, join(n.path, field)} }
	switch {
	case e.Trigger != nil:
		if d := e.Trigger.Dependency; d != nil && d.Namespace != "" && d.Namespace != e.Namespace {
			r.errorf(at("metadata.annotations["+dependencyKey+"]"), "namespace should be the trigger's, %s, is %q", e.Namespace, d.Namespace)
		}
	case e.SinkBinding != nil:
		if s := e.SinkBinding.Subject.Namespace; s != "" && s != e.Namespace {
			r.errorf(at("spec.subject.namespace"), "should be the binding's, %s, is %q", e.Namespace, s)
		}
	case e.ContainerSource != nil:
		t := &e.ContainerSource.Template
		for i, c := range containersOf(t) {
			if c.Name == "" { // as in Knative
				c.Name = fmt.Sprintf("%s-%d", e.Name, i)
			}
		}
		(&pod{t: t}).checkNames(r)
	}
}

// containersOf returns the containers of spec.containers, in their order.
func containersOf(t *Template) []*Container { return t.All()[len(t.Init):] }

// Unchangeable returns an error if next changes what Knative's webhooks keep as it is: it has to be deleted, or get another name.
func (e *Eventing) Unchangeable(next *Eventing) error {
	const advice = "can't be changed: delete the %s, or give the new one another name"
	var errs []error
	add := func(field string) { errs = append(errs, next.Pos.Errorf(field, advice, e.Kind)) }
	switch {
	case e.Broker != nil:
		if e.config() != next.config() {
			add("spec.config")
		}
		if class(e.Broker) != class(next.Broker) {
			add("metadata.annotations[" + BrokerClassKey + "]")
		}
	case e.Trigger != nil && e.Trigger.Broker != next.Trigger.Broker:
		add("spec.broker")
	}
	return errors.Join(errs...)
}

// config returns a Broker's configuration as the API has it, with its namespace.
func (e *Eventing) config() Reference {
	c := e.Broker.Config
	if c != (Reference{}) && c.Namespace == "" {
		c.Namespace = e.Namespace
	}
	return c
}

func class(b *Broker) string {
	if b.Class == "" {
		return defaultBrokerClass
	}
	return b.Class
}

var destinationTable = newTable("Destination",
	[]field[Destination]{
		{name: "ref", note: "see KReference", read: func(r *reader, n node, d *Destination) {
			d.Ref = &Reference{}
			readObject(r, n, referenceTable, d.Ref)
			r.complete(n, d.Ref)
		}},
		{name: "uri", note: "of a host, or with ref relative to its address", read: func(r *reader, n node, d *Destination) { d.URI = r.text(n) }},
	},
	ignored[Destination]("certificates are checked as this machine does", "CACerts"),
	ignored[Destination]("there is no OpenID Connect here", "audience"),
)

// destination reads where events go, as Knative's Destination is checked.
func (r *reader) destination(n node) Destination {
	d := Destination{Place: r.place(n)}
	readObject(r, n, destinationTable, &d)
	if n.Kind != yaml.MappingNode {
		return d
	}
	u, err := url.Parse(d.URI)
	at := node{n.Node, join(n.path, "uri")}
	switch {
	case err != nil:
		r.errorf(at, "should be a URI, is %q", d.URI)
	case d.Ref == nil && d.URI == "":
		r.errorf(n, "should have ref or uri")
	case d.Ref != nil && u.IsAbs():
		r.errorf(at, "should be relative to the address of ref, is %q", d.URI)
	case d.Ref == nil && u.Host == "":
		r.errorf(at, "should be absolute without a ref, is %q", d.URI)
	case d.Ref == nil && u.Scheme != "http" && u.Scheme != "https":
		r.errorf(at, "should begin with http:// or https://, is %q", d.URI)
	}
	return d
}

var referenceTable = newTable("KReference",
	[]field[Reference]{
		{name: "apiVersion", note: "with kind: a Service of serving.knative.dev/v1, a Broker of " + eventingVersion, read: func(r *reader, n node, f *Reference) { f.APIVersion = r.text(n) }},
		{name: "kind", note: "of another kind is an error of the status, not of the manifest", read: func(r *reader, n node, f *Reference) { f.Kind = r.text(n) }},
		{name: "name", note: "", read: func(r *reader, n node, f *Reference) { f.Name = r.objectName(n) }},
		{name: "namespace", note: "without one it is that of the object", read: func(r *reader, n node, f *Reference) { f.Namespace = r.label(n, label1123) }},
	},
	ignored[Reference]("apiVersion names the group", "group"),
	ignored[Reference]("objects have one address here", "address"),
)

// complete checks that a reference names an object.
func (r *reader) complete(n node, f *Reference) {
	for _, field := range f.missing() {
		r.needs(n, field, false)
	}
}

// missing returns the fields without which a reference names no object.
func (f *Reference) missing() (fields []string) {
	for _, field := range [][2]string{{"apiVersion", f.APIVersion}, {"kind", f.Kind}, {"name", f.Name}} {
		if field[1] == "" {
			fields = append(fields, field[0])
		}
	}
	return fields
}

// attributeName is what Knative lets a filter name: CloudEvents' naming conventions, and a letter first.
var attributeName = regexp.MustCompile(`^[a-z][a-z0-9]*$`)

// attributes reads values of attributes by name.
func (r *reader) attributes(n node) map[string]string {
	all := map[string]string{}
	for key, value := range r.mapping(n) {
		if !attributeName.MatchString(key) && r.schema == nil {
			r.errorf(value, "the name of an attribute should be lower-case letters and digits, and begin with a letter")
		}
		all[key] = r.text(value)
	}
	return all
}

var overridesTable = newTable("CloudEventOverrides",
	[]field[Overrides]{
		{name: "extensions", note: "attributes that each event gets", read: func(r *reader, n node, o *Overrides) {
			o.Extensions = map[string]string{}
			for key, value := range r.mapping(n) {
				if strings.Trim(key, alphanumeric) != "" || key == "" && r.schema == nil {
					r.errorf(value, "the name of an extension should be letters and digits")
				}
				o.Extensions[key] = r.text(value)
			}
		}},
	},
)

const alphanumeric = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789"

// senderFields are what the specs of sources have in common.
func senderFields[T any](of func(*T) *Sender) []field[T] {
	return []field[T]{
		{name: "sink", note: "see Destination", read: func(r *reader, n node, t *T) { of(t).Sink = r.destination(n) }},
		{name: "ceOverrides", note: "see CloudEventOverrides", read: func(r *reader, n node, t *T) {
			of(t).Overrides = &Overrides{}
			readObject(r, n, overridesTable, of(t).Overrides)
		}},
	}
}

// needs checks that a field has been given.
func (r *reader) needs(n node, field string, given bool) {
	if n.Kind == yaml.MappingNode && !given {
		r.errorf(node{n.Node, join(n.path, field)}, "missing")
	}
}
