package objects

import (
	"cmp"
	"fmt"
	"net"
	"strconv"
	"strings"
	"time"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/util/duration"

	"github.com/sluice-proxy/sluice/internal/standalone/kubeapi"
)

// none is what kubectl shows where there is nothing, in Kubernetes' own kinds. In custom resources it shows nothing.
const none = "<none>"

func nameColumn() kubeapi.Column {
	return kubeapi.Column{Name: "Name", Type: "string", Format: "name", Value: func(o kubeapi.Object) any { return o.GetName() }}
}

func ageColumn() kubeapi.Column {
	return text("Age", func(o kubeapi.Object) string { return ago(o.GetCreationTimestamp().Time) })
}

func text(name string, value func(kubeapi.Object) string) kubeapi.Column {
	return kubeapi.Column{Name: name, Type: "string", Value: func(o kubeapi.Object) any { return value(o) }}
}

// field is a column of a string; without it nothing is shown.
func field(name string, path ...string) kubeapi.Column {
	return kubeapi.Column{Name: name, Type: "string", Value: func(o kubeapi.Object) any {
		if s, ok, _ := unstructured.NestedString(o.Object, path...); ok {
			return s
		}
		return nil
	}}
}

// number is a column of a number; without it nothing is shown.
func number(name string, path ...string) kubeapi.Column {
	return kubeapi.Column{Name: name, Type: "integer", Value: func(o kubeapi.Object) any {
		if n, ok, _ := unstructured.NestedInt64(o.Object, path...); ok {
			return n
		}
		return nil
	}}
}

// count is a column of a number, 0 without it.
func count(name string, path ...string) kubeapi.Column {
	return kubeapi.Column{Name: name, Type: "string", Value: func(o kubeapi.Object) any { return int64At(o.Object, path...) }}
}

// sum is a column of the number of entries in maps.
func sum(name string, fields ...string) kubeapi.Column {
	return kubeapi.Column{Name: name, Type: "string", Value: func(o kubeapi.Object) any {
		var n int
		for _, f := range fields {
			m, _ := o.Object[f].(map[string]any)
			n += len(m)
		}
		return int64(n)
	}}
}

// wide shows a column only with -o wide.
func wide(c kubeapi.Column) kubeapi.Column {
	c.Priority = 1
	return c
}

func conditionColumn(name, field string) kubeapi.Column {
	return kubeapi.Column{Name: name, Type: "string", Value: func(o kubeapi.Object) any { return ConditionOf(o, "Ready")[field] }}
}

func selector(path ...string) kubeapi.Column {
	return text("Selector", func(o kubeapi.Object) string {
		m, _, _ := unstructured.NestedStringMap(o.Object, path...)
		return labels.FormatLabels(m)
	})
}

// ofContainers is a column of a field of all containers of a template.
func ofContainers(name, field string) kubeapi.Column {
	return text(name, func(o kubeapi.Object) string {
		var all []string
		for _, c := range items(o.Object, "spec", "template", "spec", "containers") {
			all = append(all, stringAt(c, field))
		}
		return strings.Join(all, ",")
	})
}

func readyReplicas(o kubeapi.Object) string {
	return fmt.Sprintf("%d/%d", int64At(o.Object, "status", "readyReplicas"), int64At(o.Object, "spec", "replicas"))
}

func clusterIP(o kubeapi.Object) string { return cmp.Or(stringAt(o.Object, "spec", "clusterIP"), none) }

func externalIP(o kubeapi.Object) string {
	return cmp.Or(stringAt(o.Object, "spec", "externalName"), none)
}

func servicePorts(o kubeapi.Object) string {
	var all []string
	for _, p := range items(o.Object, "spec", "ports") {
		all = append(all, fmt.Sprintf("%d/%s", int64At(p, "port"), stringAt(p, "protocol")))
	}
	return cmp.Or(strings.Join(all, ","), none)
}

// endpointAddresses are those of ready pods.
func endpointAddresses(o kubeapi.Object) string {
	var all []string
	for _, s := range items(o.Object, "subsets") {
		for _, p := range items(s, "ports") {
			for _, a := range items(s, "addresses") {
				all = append(all, net.JoinHostPort(stringAt(a, "ip"), strconv.FormatInt(int64At(p, "port"), 10)))
			}
		}
	}
	if o.Object["subsets"] == nil {
		return none
	}
	return few(all, "")
}

func slicePorts(o kubeapi.Object) string {
	var all []string
	for _, p := range items(o.Object, "ports") {
		all = append(all, strconv.FormatInt(int64At(p, "port"), 10))
	}
	return few(all, "<unset>")
}

func sliceAddresses(o kubeapi.Object) string {
	var all []string
	for _, e := range items(o.Object, "endpoints") {
		list, _, _ := unstructured.NestedStringSlice(e, "addresses")
		all = append(all, list...)
	}
	return few(all, "<unset>")
}

// few joins the first three.
func few(all []string, empty string) string {
	const most = 3
	if len(all) > most {
		return fmt.Sprintf("%s + %d more...", strings.Join(all[:most], ","), len(all)-most)
	}
	return cmp.Or(strings.Join(all, ","), empty)
}

// eventColumns are those of events, which have neither a name in front nor an age.
func eventColumns() []kubeapi.Column {
	seen := func(name, field string) kubeapi.Column {
		return text(name, func(o kubeapi.Object) string { return ago(timeAt(o.Object, field)) })
	}
	return []kubeapi.Column{
		seen("Last Seen", "lastTimestamp"), field("Type", "type"), field("Reason", "reason"),
		text("Object", func(o kubeapi.Object) string {
			return strings.ToLower(stringAt(o.Object, "involvedObject", "kind")) + "/" + stringAt(o.Object, "involvedObject", "name")
		}),
		wide(field("Subobject", "involvedObject", "fieldPath")), wide(field("Source", "source", "component")),
		text("Message", func(o kubeapi.Object) string { return strings.TrimSpace(stringAt(o.Object, "message")) }),
		wide(seen("First Seen", "firstTimestamp")), wide(count("Count", "count")), wide(nameColumn()),
	}
}

// ago returns how long ago t was.
func ago(t time.Time) string {
	if t.IsZero() {
		return "<unknown>"
	}
	return duration.HumanDuration(time.Since(t))
}

// stringAt, int64At and timeAt return a field, or the zero value.
func stringAt(o map[string]any, path ...string) string {
	s, _, _ := unstructured.NestedString(o, path...)
	return s
}

func int64At(o map[string]any, path ...string) int64 {
	n, _, _ := unstructured.NestedInt64(o, path...)
	return n
}

func timeAt(o map[string]any, path ...string) time.Time {
	t, _ := time.Parse(time.RFC3339, stringAt(o, path...))
	return t
}
