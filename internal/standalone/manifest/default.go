package manifest

import (
	"encoding/base64"
	"fmt"
	"strconv"
	"time"
)

// Default fills in what Knative's webhook fills in for a Service (pkg/apis/serving/v1/*_defaults.go) with its default
// configuration; and for the kinds of Eventing likewise, and for a Secret what Kubernetes does. Reading the object gives a template that is Equal to the one before.
func Default(object map[string]any) {
	switch object["kind"] {
	case "Service":
		spec := child(object, "spec")
		template := child(spec, "template")
		child(template, "metadata")
		defaultRevision(child(template, "spec"))
		defaultTraffic(spec)
	case string(FromSecret):
		defaultSecret(object)
	default:
		defaultEventing(object)
	}
}

// child returns the mapping below a key; it makes one if there is none. A value that is no mapping stays as it is.
func child(m map[string]any, key string) map[string]any {
	c, ok := m[key].(map[string]any)
	if !ok {
		c = map[string]any{}
		missing(m, key, c)
	}
	return c
}

// missing sets a field that has no value.
func missing(m map[string]any, key string, value any) {
	if m[key] == nil {
		m[key] = value
	}
}

// unset is missing for a field whose zero value stands for its default.
func unset(m map[string]any, key string, value any) {
	if m[key] == nil || m[key] == "" || m[key] == int64(0) {
		m[key] = value
	}
}

// children returns the mappings of a list.
func children(m map[string]any, key string) []map[string]any {
	var all []map[string]any
	list, _ := m[key].([]any)
	for _, item := range list {
		if c, ok := item.(map[string]any); ok {
			all = append(all, c)
		}
	}
	return all
}

func defaultTraffic(spec map[string]any) {
	if list, ok := spec["traffic"].([]any); ok && len(list) == 0 {
		delete(spec, "traffic")
	}
	missing(spec, "traffic", []any{map[string]any{"latestRevision": true, "percent": int64(100)}})
	for _, t := range children(spec, "traffic") {
		missing(t, "latestRevision", t["revisionName"] == nil || t["revisionName"] == "")
		missing(t, "percent", int64(0))
	}
}

func defaultRevision(spec map[string]any) {
	const seconds = int64(defaultTimeout / time.Second)
	unset(spec, "timeoutSeconds", seconds)
	if total, _ := spec["timeoutSeconds"].(int64); total > seconds {
		missing(spec, "responseStartTimeoutSeconds", seconds)
	}
	missing(spec, "containerConcurrency", int64(0))
	missing(spec, "enableServiceLinks", false)

	containers, inits := children(spec, "containers"), children(spec, "initContainers")
	names := func(list []map[string]any) (all []*string) {
		for _, c := range list {
			name, _ := c["name"].(string)
			all = append(all, &name)
		}
		return all
	}
	a, b := names(containers), names(inits)
	nameContainers(a, b)
	for i, c := range containers {
		unset(c, "name", *a[i])
		defaultContainer(c, len(containers) == 1, spec)
	}
	for i, c := range inits {
		unset(c, "name", *b[i])
		missing(c, "resources", map[string]any{})
	}
}

func defaultContainer(c map[string]any, alone bool, spec map[string]any) {
	missing(c, "resources", map[string]any{})
	if alone || len(children(c, "ports")) > 0 {
		probe := child(c, "readinessProbe")
		if probe["httpGet"] == nil && probe["exec"] == nil && probe["grpc"] == nil {
			child(probe, "tcpSocket")
		}
	}
	if probe, ok := c["readinessProbe"].(map[string]any); ok {
		unset(probe, "successThreshold", int64(1))
		if period, _ := probe["periodSeconds"].(int64); period != 0 {
			unset(probe, "failureThreshold", int64(3))
			unset(probe, "timeoutSeconds", int64(1))
		}
	}
	for _, kind := range []string{"readinessProbe", "livenessProbe", "startupProbe"} {
		probe, _ := c[kind].(map[string]any)
		for _, by := range []string{"httpGet", "tcpSocket", "grpc"} {
			if probe[by] != nil {
				missing(child(probe, by), "port", int64(0))
			}
		}
		if probe["grpc"] != nil {
			missing(child(probe, "grpc"), "service", "")
		}
	}
	for _, v := range children(spec, "volumes") {
		for _, m := range children(c, "volumeMounts") {
			// A volume of another kind is an empty directory here, so it can be written.
			if m["name"] == v["name"] && (v["configMap"] != nil || v["secret"] != nil || v["downwardAPI"] != nil || v["projected"] != nil || v["hostPath"] != nil) {
				m["readOnly"] = true
			}
		}
	}
}

// The names of containers without one: Knative's config-defaults.
const (
	userContainer = "user-container"
	initContainer = "init-container"
)

// nameContainers sets the empty names, as Knative does: a number follows the default where there are several containers, or
// where it is taken.
func nameContainers(containers, inits []*string) {
	taken := map[string]bool{}
	for _, names := range [][]*string{containers, inits} {
		for _, name := range names {
			taken[*name] = true
		}
	}
	fill := func(names []*string, base string) {
		next := 0
		for _, name := range names {
			if *name != "" {
				continue
			}
			for *name = base; len(names) > 1 && *name == base || taken[*name]; next++ {
				*name = base + "-" + strconv.Itoa(next)
			}
		}
	}
	fill(containers, userContainer)
	fill(inits, initContainer)
}

// defaultSecret moves stringData to data, in base64, as Kubernetes does when it stores a Secret.
func defaultSecret(object map[string]any) {
	unset(object, "type", "Opaque")
	plain, _ := object["stringData"].(map[string]any)
	for key, value := range plain {
		if text, ok := value.(string); ok {
			child(object, "data")[key] = base64.StdEncoding.EncodeToString([]byte(text))
		}
	}
	delete(object, "stringData")
}

// defaultEventing: knative.dev/eventing/pkg/apis, *_defaults.go, and its ConfigMap config-br-defaults, without the reference to the
// configuration of channels.
func defaultEventing(object map[string]any) {
	kind, _ := object["kind"].(string)
	if eventingVersions[kind] == "" {
		return
	}
	metadata, spec := child(object, "metadata"), child(object, "spec")
	namespace := metadata["namespace"]
	local := func(of map[string]any, field string) {
		if destination, ok := of[field].(map[string]any); ok && destination["ref"] != nil {
			unset(child(destination, "ref"), "namespace", namespace)
		}
	}
	delivery, _ := spec["delivery"].(map[string]any)
	local(delivery, "deadLetterSink")
	switch EventingKind(kind) {
	case KindBroker:
		unset(child(metadata, "annotations"), BrokerClassKey, defaultBrokerClass)
		if config, ok := spec["config"].(map[string]any); ok {
			unset(config, "namespace", namespace)
		}
		d := DefaultDelivery()
		missing(spec, "delivery", map[string]any{"retry": int64(d.Retry), "backoffPolicy": "exponential", "backoffDelay": "PT0.2S"})
	case KindTrigger:
		missing(spec, "filter", map[string]any{})
		local(spec, "subscriber")
		child(metadata, "labels")[BrokerLabel] = spec["broker"]
	case KindPingSource:
		unset(spec, "schedule", defaultSchedule)
	case KindContainerSource:
		for i, c := range children(child(child(spec, "template"), "spec"), "containers") {
			unset(c, "name", fmt.Sprintf("%v-%d", metadata["name"], i))
		}
	case KindSinkBinding:
		unset(child(spec, "subject"), "namespace", namespace)
		local(spec, "sink")
	}
}
