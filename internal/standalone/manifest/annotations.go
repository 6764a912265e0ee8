package manifest

import (
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/sluice-proxy/sluice/internal/knative"
	"k8s.io/apimachinery/pkg/api/resource"
)

// AnnotationFullDuplex, when "Enabled", lets an HTTP/1.1 app respond while it still reads the request.
const AnnotationFullDuplex = "features.knative.dev/http-full-duplex"

// The quickstart's own annotations. On a Service they are for all of its revisions and make no new one; a template's are for
// its revision.
const (
	watchKey        = "sluice.dev/watch"
	clusterNamesKey = "sluice.dev/cluster-names"
)

// Options are what the quickstart's own annotations say.
type Options struct {
	Watch        string // replicas are replaced when a file below this directory changes, relative to workingDir; empty: none
	ClusterNames bool   // apps reach others by the names that they have in a cluster
	// Affinity and AffinityOrder have requests with something in common go to one replica, as knative.ParseAffinity says.
	Affinity, AffinityOrder string
}

func options(all []Annotation) Options {
	return Options{
		Watch: find(all, watchKey), ClusterNames: find(all, clusterNamesKey) == "true",
		Affinity: find(all, knative.AnnotationAffinity), AffinityOrder: find(all, knative.AnnotationAffinityOrder),
	}
}

const (
	scaling        = "autoscaling.knative.dev/"
	classKey       = scaling + "class"
	kpa            = "kpa.autoscaling.knative.dev"
	hpa            = "hpa.autoscaling.knative.dev"
	visibilityKey  = "networking.knative.dev/visibility"
	visibilityOnly = "cluster-local"
)

// owner is the kind of object that has the annotations or labels.
type owner string

const (
	onService  owner = "Service"
	onTemplate owner = "RevisionTemplateSpec"
	onBroker   owner = "Broker"
	onTrigger  owner = "Trigger"
	onSource   owner = "PingSource, ContainerSource and SinkBinding"
	onPod      owner = "PodTemplateSpec"
)

// known is an annotation that has a meaning in Knative.
type known struct {
	on      owner
	key     string
	aliases []string // older names; if both are set, the key counts
	class   Class
	note    string
	check   func(string) string // returns what the value should be if it is invalid
}

func (a *known) kind() string { return "annotations of the " + string(a.on) }

// Annotations and their checks are those of Knative's pkg/apis: autoscaling/annotation_validation.go,
// serving/metadata_validation.go, serving/v1/revision_validation.go, and of its networking API. Package autoscaler checks
// its own.
var annotationTable = slices.Concat(
	ownAnnotations(onTemplate),
	scalingAnnotations(),
	[]known{
		{on: onTemplate, key: AnnotationFullDuplex, note: "the app may respond while it reads", check: enabledOrDisabled},
		{on: onTemplate, key: scaling + "target-burst-capacity", aliases: []string{scaling + "targetBurstCapacity"}, class: Ignored, note: "the activator is always in the path, as with -1", check: func(v string) string {
			f, err := strconv.ParseFloat(v, 64)
			return unless(err == nil && (f >= 0 || f == -1), "a number from 0 up, or -1")
		}},
		{on: onTemplate, key: scaling + "metric-aggregation-algorithm", aliases: []string{scaling + "metricAggregationAlgorithm"}, class: Ignored, note: "averages are linear", check: func(v string) string {
			return unless(slices.Contains([]string{"linear", "weighted-exponential", "weightedExponential"}, v), "linear or weighted-exponential")
		}},
		{on: onTemplate, key: "serving.knative.dev/progress-deadline", aliases: []string{"serving.knative.dev/progressDeadline"}, class: Ignored, note: "replicas are retried without a limit", check: wholeSeconds},
		{on: onTemplate, key: "queue.sidecar.serving.knative.dev/resource-percentage", aliases: []string{"queue.sidecar.serving.knative.dev/resourcePercentage"}, class: Ignored, note: "processes are not limited here", check: func(v string) string {
			f, err := strconv.ParseFloat(v, 64)
			return unless(err == nil && f >= 0.1 && f <= 100, "a number from 0.1 to 100")
		}},
	},
	several(onTemplate, Ignored, "processes are not limited here", quantity,
		"queue.sidecar.serving.knative.dev/cpu-resource-request", "queue.sidecar.serving.knative.dev/cpu-resource-limit",
		"queue.sidecar.serving.knative.dev/memory-resource-request", "queue.sidecar.serving.knative.dev/memory-resource-limit",
		"queue.sidecar.serving.knative.dev/ephemeral-storage-resource-request", "queue.sidecar.serving.knative.dev/ephemeral-storage-resource-limit"),
	several(onTemplate, Ignored, "of a cluster's features", nil, "features.knative.dev/podspec-dryrun", "features.knative.dev/queueproxy-podinfo",
		"features.knative.dev/podspec-fieldref"),
	several(onTemplate, Recorded, "written by a cluster", nil, "serving.knative.dev/creator", "serving.knative.dev/lastModifier", "serving.knative.dev/lastPinned",
		"serving.knative.dev/no-gc", "serving.knative.dev/routes", "serving.knative.dev/routingStateModified"),
	ownAnnotations(onService),
	[]known{
		{on: onService, key: "serving.knative.dev/rollout-duration", aliases: []string{"serving.knative.dev/rolloutDuration"}, class: Ignored, note: "traffic moves at once", check: wholeSeconds},
	},
	several(onService, Recorded, "written by a cluster", nil, "serving.knative.dev/creator", "serving.knative.dev/lastModifier", "serving.knative.dev/forceUpgrade"),
	several(onService, Ignored, "there is one ingress here, in the clear", nil,
		"networking.knative.dev/ingress-class", "networking.knative.dev/ingress.class", "networking.knative.dev/certificate-class",
		"networking.knative.dev/certificate.class", "networking.knative.dev/http-option", "networking.knative.dev/http-protocol", "networking.knative.dev/httpProtocol",
		"networking.knative.dev/httpOption", "networking.knative.dev/disable-auto-tls", "networking.knative.dev/disableAutoTLS",
		"networking.knative.dev/disable-external-domain-tls", "networking.knative.dev/wildcardDomain"),
	several(onService, Ignored, "of a cluster's features", nil, "features.knative.dev/podspec-dryrun"),
	[]known{
		{on: onBroker, key: BrokerClassKey, note: "one of another class than " + defaultBrokerClass + " is the same here, with a note; can't be changed"},
		{on: onTrigger, key: dependencyKey, note: "a source that has to be ready, in JSON"},
		{on: onTrigger, key: injectionKey, class: Ignored, note: "brokers are made by their own manifests", check: func(v string) string {
			return unless(v == "enabled" || v == "disabled", "enabled or disabled")
		}},
		{on: onTrigger, key: keyKey, note: "an attribute, or an expression of CESQL: events with the same key are delivered in order, to the same instance", check: func(v string) string {
			return unless(v != "", "an attribute or an expression of CESQL")
		}},
		{on: onTrigger, key: keyRetryKey, note: "`skip`: an event that fails isn't tried again, so that its key goes on", check: func(v string) string {
			return unless(v == "skip", "skip")
		}},
		{on: onPod, key: clusterNamesKey, note: "`true`: containers reach services by their names in a cluster", check: trueOrFalse},
	},
	several(onBroker, Recorded, "written by a cluster", nil, "eventing.knative.dev/creator", "eventing.knative.dev/lastModifier"),
	several(onTrigger, Recorded, "written by a cluster", nil, "eventing.knative.dev/creator", "eventing.knative.dev/lastModifier"),
	several(onSource, Recorded, "written by a cluster", nil, "eventing.knative.dev/creator", "eventing.knative.dev/lastModifier"),
)

// several returns annotations that differ only in the key.
func several(on owner, class Class, note string, check func(string) string, keys ...string) []known {
	var all []known
	for _, key := range keys {
		all = append(all, known{on: on, key: key, class: class, note: note, check: check})
	}
	return all
}

func ownAnnotations(on owner) []known {
	return []known{
		{on: on, key: watchKey, note: "a directory: replicas are replaced when files below it change", check: func(v string) string {
			return unless(v != "", "a directory")
		}},
		{on: on, key: clusterNamesKey, note: "`true`: the app reaches others by their names in a cluster", check: trueOrFalse},
		{on: on, key: knative.AnnotationAffinity, note: "requests with this in common go to one replica: `header=FIELD`, `cookie=NAME`, `query=NAME` or `path=N`", check: func(v string) string {
			_, err := knative.ParseAffinity(v, "")
			return unless(err == nil && v != "", knative.AffinityForms)
		}},
		{on: on, key: knative.AnnotationAffinityOrder, note: "`strict`: these requests one at a time, in order of arrival", check: func(v string) string {
			return unless(v == knative.AffinityStrict, knative.AffinityStrict)
		}},
	}
}

// scalingAnnotations are the annotations that package autoscaler reads.
func scalingAnnotations() []known {
	all := []known{{on: onTemplate, key: classKey, note: kpa + "; with another class, as HPA, replicas are scaled by requests at a time, and a note says so", check: func(v string) string {
		return unless(!strings.HasSuffix(v, ".autoscaling.knative.dev") || v == kpa || v == hpa, kpa+" or "+hpa)
	}}}
	for _, name := range []string{
		"metric", "target", "target-utilization-percentage", "min-scale", "max-scale", "initial-scale", "activation-scale", "window",
		"panic-window-percentage", "panic-threshold-percentage", "scale-down-delay", "scale-to-zero-pod-retention-period",
	} {
		a := known{on: onTemplate, key: scaling + name, note: "as Knative's autoscaler (KPA)"}
		if camel := camelCase(name); camel != name {
			a.aliases = []string{scaling + camel} // its name until Knative 0.24
		}
		all = append(all, a)
	}
	return all
}

func camelCase(name string) string {
	words := strings.Split(name, "-")
	for i := 1; i < len(words); i++ {
		words[i] = strings.ToUpper(words[i][:1]) + words[i][1:]
	}
	return strings.Join(words, "")
}

func unless(ok bool, should string) string {
	if ok {
		return ""
	}
	return should
}

func enabledOrDisabled(v string) string {
	return unless(strings.EqualFold(v, "Enabled") || strings.EqualFold(v, "Disabled"), "Enabled or Disabled")
}

func trueOrFalse(v string) string { return unless(v == "true" || v == "false", "true or false") }

func wholeSeconds(v string) string {
	d, err := time.ParseDuration(v)
	return unless(v == "" || err == nil && d >= 0 && d%time.Second == 0, "a duration of whole seconds such as 60s")
}

func quantity(v string) string {
	_, err := resource.ParseQuantity(v)
	return unless(err == nil, "a quantity such as 100m or 256Mi")
}

// annotations reads those of a Service or of its template, and leaves out what a cluster has recorded: that doesn't make a
// revision another one. An unknown one in Knative's domains or the quickstart's is an error; other domains are ignored.
func (r *reader) annotations(n node, on owner) []Annotation {
	if n.Node == nil {
		return nil
	}
	var all []Annotation
	for key, value := range r.mapping(n) {
		text := r.text(value)
		domain, _, _ := strings.Cut(key, "/")
		a := annotation(key, on)
		if a == nil || a.class != Recorded {
			all = append(all, Annotation{key, text, r.pos(value)})
		}
		switch {
		case a != nil && a.check != nil && a.check(text) != "":
			r.errorf(value, "should be %s, is %q", a.check(text), text)
		case a != nil && a.class == Ignored:
			r.ignore(value, a.note)
		case a != nil, domain == "client.knative.dev": // set by kn
		case on == onService && annotation(key, onTemplate) != nil:
			r.errorf(value, "belongs in spec.template.metadata.annotations")
		case on == onTemplate && annotation(key, onService) != nil:
			r.errorf(value, "belongs in the Service's own metadata.annotations")
		case domain == "knative.dev" || strings.HasSuffix(domain, ".knative.dev"):
			r.errorf(value, "no such annotation of Knative%s", suggestAnnotation(key, on))
		case domain == "sluice.dev":
			r.errorf(value, "no such annotation of the quickstart%s", suggestAnnotation(key, on))
		case on == onTemplate && domain == "run.googleapis.com" && !strings.Contains(key, "/client-"):
			r.ignore(value, "of Cloud Run only")
		}
	}
	if class := find(all, classKey); class != "" && class != kpa && on == onTemplate {
		for _, a := range all {
			if slices.Contains(byClass, strings.TrimPrefix(a.Key, scaling)) {
				r.ignored = append(r.ignored, Note{Place: Place{a.Pos, join(n.path, a.Key)}, Why: "replicas are scaled by requests at a time, not by " + class})
			}
		}
	}
	return byKey(all)
}

// byKey sorts annotations or labels: their order makes no other revision.
func byKey(all []Annotation) []Annotation {
	slices.SortFunc(all, func(a, b Annotation) int { return strings.Compare(a.Key, b.Key) })
	return all
}

// byClass are annotations whose meaning depends on the class.
var byClass = []string{"class", "metric", "target", "target-utilization-percentage", "targetUtilizationPercentage"}

func annotation(key string, on owner) *known {
	i := slices.IndexFunc(annotationTable, func(a known) bool { return a.on == on && (a.key == key || slices.Contains(a.aliases, key)) })
	if i < 0 {
		return nil
	}
	return &annotationTable[i]
}

func suggestAnnotation(key string, on owner) string {
	var keys []string
	for _, a := range annotationTable {
		if a.on == on {
			keys = append(keys, a.key)
		}
	}
	_, name, _ := strings.Cut(key, "/")
	for _, k := range keys { // a known name in the wrong domain
		if _, n, _ := strings.Cut(k, "/"); n == name {
			return "; the nearest is " + k
		}
	}
	if k := nearest(key, keys); k != "" {
		return "; the nearest is " + k
	}
	return ""
}

// Scaling returns the annotations of t for package autoscaler: the newer of two names, and none that has another meaning
// for the template's class of autoscaler.
func (t *Template) Scaling() []Annotation {
	class := t.Annotation(classKey)
	var all []Annotation
	for _, a := range t.Annotations {
		k := annotation(a.Key, onTemplate)
		switch {
		case k == nil || k.class != Done || !strings.HasPrefix(k.key, scaling):
		case a.Key != k.key && t.has(k.key):
		case class != "" && class != kpa && slices.Contains(byClass, strings.TrimPrefix(a.Key, scaling)):
		default:
			all = append(all, a)
		}
	}
	return all
}

func (t *Template) has(key string) bool {
	return slices.ContainsFunc(t.Annotations, func(a Annotation) bool { return a.Key == key })
}

// labels select objects in a cluster: any is allowed. Those that Knative writes, on Revisions too, are left out.
func (r *reader) labels(n node, on owner) []Annotation {
	if n.Node == nil {
		return nil
	}
	var all []Annotation
	for key, value := range r.mapping(n) {
		text := r.text(value)
		if !strings.HasPrefix(key, "serving.knative.dev/") {
			all = append(all, Annotation{key, text, r.pos(value)})
		}
		if on != onService || key != visibilityKey {
			continue
		}
		if text != visibilityOnly {
			r.errorf(value, "should be %s, is %q", visibilityOnly, text)
			continue
		}
		r.ignore(value, "every client that reaches this machine reaches the service")
	}
	return byKey(all)
}
