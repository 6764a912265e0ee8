package manifest

import (
	"encoding/base64"
	"encoding/json"
	"strings"

	"github.com/robfig/cron/v3"
	"go.yaml.in/yaml/v3"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
)

var (
	pingTable = newTable("PingSource", eventingFields(sourcesVersion+", or v1beta2", "PingSource", onSource, func(r *reader, n node, e *Eventing) {
		p := ping{PingSource: e.PingSource}
		readObject(r, n, pingSpecTable, &p)
		p.finish(r, n)
	}))
	containerSourceTable = newTable("ContainerSource", eventingFields(sourcesVersion, "ContainerSource", onSource, func(r *reader, n node, e *Eventing) {
		r.hasTemplate = false
		readObject(r, n, containerSourceSpecTable, e.ContainerSource)
		r.needs(n, "sink", e.ContainerSource.Sink.Place != Place{})
		r.needs(n, "template", r.hasTemplate)
	}))
	sinkBindingTable = newTable("SinkBinding", eventingFields(sourcesVersion, "SinkBinding", onSource, func(r *reader, n node, e *Eventing) {
		b := binding{SinkBinding: e.SinkBinding}
		readObject(r, n, sinkBindingSpecTable, &b)
		r.needs(n, "sink", b.Sink.Place != Place{})
		r.needs(n, "subject", b.hasSubject)
	}))
)

// ping is a PingSource while it is read.
type ping struct {
	*PingSource
	schedule, timezone string
	at, zoneAt, dataAt node // of the schedule, of the time zone, of the data
	hasText, hasBase64 bool
}

var pingSpecTable = newTable("PingSourceSpec", senderFields(func(p *ping) *Sender { return &p.Sender }),
	[]field[ping]{
		{name: "schedule", note: "five fields of cron, six with seconds first, or @hourly and its like; without it each minute", read: func(r *reader, n node, p *ping) { p.schedule, p.at = r.text(n), n }},
		{name: "timezone", note: "of the IANA's database, as this machine has it; without it this machine's", read: func(r *reader, n node, p *ping) { p.timezone, p.zoneAt = r.text(n), n }},
		{name: "contentType", note: "of the data", read: func(r *reader, n node, p *ping) { p.ContentType = r.text(n) }},
		{name: "data", note: "as it is sent", read: func(r *reader, n node, p *ping) {
			text := r.text(n)
			if p.hasText, p.dataAt = text != "", n; p.hasText {
				p.Data = []byte(text)
			}
		}},
		{name: "dataBase64", note: "the same in base64", read: func(r *reader, n node, p *ping) {
			text := r.text(n)
			if text == "" {
				return
			}
			data, err := base64.StdEncoding.DecodeString(text)
			if err != nil {
				r.errorf(n, "should be in base64: %v", err)
			}
			p.Data, p.dataAt, p.hasBase64 = data, n, true
		}},
	},
)

const defaultSchedule = "* * * * *" // Knative's ping_defaults.go

// cronParser is that of Knative's ping_validation.go.
var cronParser = cron.NewParser(cron.SecondOptional | cron.Minute | cron.Hour | cron.Dom | cron.Month | cron.Dow | cron.Descriptor)

// finish checks fields together.
func (p *ping) finish(r *reader, n node) {
	if n.Kind != yaml.MappingNode {
		return
	}
	r.needs(n, "sink", p.Sink.Place != Place{})
	if p.hasText && p.hasBase64 {
		r.errorf(n, "should have either data or dataBase64")
	}
	var object map[string]any
	if (p.hasText || p.hasBase64) && p.ContentType == "application/json" && json.Unmarshal(p.Data, &object) != nil {
		r.errorf(p.dataAt, "should be an object in JSON, as contentType says")
	}
	if p.schedule == "" {
		p.schedule, p.at = defaultSchedule, n
	}
	expression := p.schedule
	if p.timezone != "" {
		expression = "CRON_TZ=" + p.timezone + " " + expression
	}
	schedule, err := cronParser.Parse(expression)
	switch {
	case strings.Contains(p.schedule, "@every"):
		r.errorf(p.at, "@every is not supported, as in Knative: use fields, such as */5 * * * * for every five minutes")
	case err != nil && strings.HasPrefix(err.Error(), "provided bad location"):
		r.errorf(p.zoneAt, "no such time zone: %q", p.timezone)
	case err != nil:
		r.errorf(p.at, "should be a schedule such as */5 * * * *: %v", err)
	default:
		p.PingSource.Schedule = schedule
	}
}

var containerSourceSpecTable = newTable("ContainerSourceSpec", senderFields(func(c *ContainerSource) *Sender { return &c.Sender }),
	[]field[ContainerSource]{
		{name: "template", note: "of one pod: see PodTemplateSpec", read: func(r *reader, n node, c *ContainerSource) {
			r.hasTemplate = true
			readObject(r, n, podTemplateTable, &c.Template)
			if n.Kind == yaml.MappingNode && !r.hasPod {
				r.errorf(node{n.Node, join(n.path, "spec")}, "missing")
			}
		}},
	},
)

var podTemplateTable = newTable("PodTemplateSpec",
	[]field[Template]{
		{name: "metadata", note: "labels and annotations for the downward API: see metadata", read: func(r *reader, n node, t *Template) {
			var m metadata
			readObject(r, n, metadataTable, &m)
			if m.nameAt.Node != nil {
				r.objectName(m.nameAt) // a pod has another one
			}
			t.Labels = r.labels(m.labels, onPod)
			t.Annotations = r.annotations(m.annotations, onPod)
			t.Options = options(t.Annotations)
		}},
		{name: "spec", note: "see PodSpec", read: func(r *reader, n node, t *Template) {
			r.hasPod = true
			p := pod{t: t}
			readObject(r, n, sourcePodTable, &p)
			p.finishSource(r, n)
		}},
	},
)

// sourcePodTable is podTable without what Knative adds to a PodSpec.
var sourcePodTable = newTable("PodSpec", podFields)

// finishSource checks the containers of a source together, which get no requests.
func (p *pod) finishSource(r *reader, n node) {
	if n.Kind != yaml.MappingNode {
		return
	}
	if len(p.all) == 0 {
		if len(r.errs) == 0 {
			r.errorf(node{n.Node, n.path + ".containers"}, "should hold a container")
		}
		return
	}
	for i := range p.all {
		p.protect(&p.all[i])
		c := &p.all[i]
		c.portVar = Place{}
		if c.HasPort || c.Liveness != nil || c.Startup != nil || !c.Probe.Default() {
			r.ignore(p.at[i], "a source gets no requests, and isn't probed")
			c.Probe, c.Liveness, c.Startup = defaultProbe(), nil, nil
		}
	}
	p.t.Container, p.t.Sidecars, p.t.Init = p.all[0], p.all[1:], p.init
}

// binding is a SinkBinding while it is read.
type binding struct {
	*SinkBinding
	hasSubject bool
}

var sinkBindingSpecTable = newTable("SinkBindingSpec", senderFields(func(b *binding) *Sender { return &b.Sender }),
	[]field[binding]{
		{name: "subject", note: "see Reference", read: func(r *reader, n node, b *binding) {
			b.hasSubject = true
			readObject(r, n, subjectTable, &b.Subject)
			r.checkSubject(n, &b.Subject)
		}},
	},
)

var subjectTable = newTable("Reference",
	[]field[Subject]{
		{name: "apiVersion", note: "with kind: a Service of serving.knative.dev/v1", read: func(r *reader, n node, s *Subject) { s.APIVersion = r.text(n) }},
		{name: "kind", note: "another one is an error of the status", read: func(r *reader, n node, s *Subject) { s.Kind = r.text(n) }},
		{name: "namespace", note: "that of the binding", read: func(r *reader, n node, s *Subject) { s.Namespace = r.label(n, label1123) }},
		{name: "name", note: "of one object", read: func(r *reader, n node, s *Subject) { s.Name = r.label(n, label1123) }},
		{name: "selector", note: "of objects by their labels: see LabelSelector", read: func(r *reader, n node, s *Subject) { s.Selector = r.selector(n) }},
	},
)

// checkSubject checks fields as Knative's tracker.Reference.
func (r *reader) checkSubject(n node, s *Subject) {
	if n.Kind != yaml.MappingNode {
		return
	}
	r.needs(n, "apiVersion", s.APIVersion != "")
	r.needs(n, "kind", s.Kind != "")
	if (s.Name == "") == (s.Selector == nil) {
		r.errorf(n, "should have either name or selector")
	}
}

// selector is a LabelSelector while it is read.
type selector struct{ metav1.LabelSelector }

var selectorTable = newTable("LabelSelector",
	[]field[selector]{
		{name: "matchLabels", note: "", read: func(r *reader, n node, s *selector) {
			s.MatchLabels = map[string]string{}
			for key, value := range r.mapping(n) {
				s.MatchLabels[key] = r.text(value)
			}
		}},
		{name: "matchExpressions", note: "see LabelSelectorRequirement", read: func(r *reader, n node, s *selector) {
			s.MatchExpressions = readList(r, n, requirementTable)
		}},
	},
)

var requirementTable = newTable("LabelSelectorRequirement",
	[]field[metav1.LabelSelectorRequirement]{
		{name: "key", note: "", read: func(r *reader, n node, q *metav1.LabelSelectorRequirement) { q.Key = r.text(n) }},
		{name: "operator", note: "", read: func(r *reader, n node, q *metav1.LabelSelectorRequirement) {
			q.Operator = metav1.LabelSelectorOperator(r.oneOf(n, "In", "NotIn", "Exists", "DoesNotExist"))
		}},
		{name: "values", note: "", read: func(r *reader, n node, q *metav1.LabelSelectorRequirement) { q.Values = r.texts(n) }},
	},
)

func (r *reader) selector(n node) labels.Selector {
	var s selector
	readObject(r, n, selectorTable, &s)
	all, err := metav1.LabelSelectorAsSelector(&s.LabelSelector)
	if err != nil {
		r.errorf(n, "%v", err)
		return labels.Nothing()
	}
	return all
}
