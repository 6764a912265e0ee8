package manifest

import (
	"fmt"
	"strings"
	"testing"

	"k8s.io/apimachinery/pkg/runtime"
)

// Each field of each table is in a schema, with its note; and what is read has a type.
func TestSchemaHasEveryField(t *testing.T) {
	described := map[string]bool{}
	var walk func(path string, s map[string]any)
	walk = func(path string, s map[string]any) {
		_, free := s["x-kubernetes-preserve-unknown-fields"]
		_, either := s["x-kubernetes-int-or-string"]
		_, typed := s["type"]
		// The metadata of ConfigMaps is ObjectMeta, of which only the name and the namespace are read.
		if !free && !either && !typed && !strings.HasPrefix(path, "ConfigMap.metadata.") && !strings.HasPrefix(path, "Secret.metadata.") {
			t.Errorf("%s has no type", path)
		}
		for name, p := range child(s, "properties") {
			p := p.(map[string]any)
			described[name+" "+p["description"].(string)] = true
			walk(path+"."+name, p)
		}
		for _, below := range []string{"items", "additionalProperties"} {
			if p, ok := s[below].(map[string]any); ok {
				walk(path+"."+below, p)
			}
		}
	}
	for _, kind := range []string{"Service", "ConfigMap", "Secret", "Broker", "Trigger", "PingSource", "ContainerSource", "SinkBinding"} {
		s := Schema(kind)
		walk(kind, runtime.DeepCopyJSON(s))
	}
	for _, row := range Rows() {
		if strings.HasPrefix(row.Kind, "annotations") {
			continue
		}
		description := row.Class.String()
		if row.Note != "" {
			description += ": " + row.Note
		}
		if !described[row.Name+" "+description] {
			t.Errorf("%s of %s is in no schema", row.Name, row.Kind)
		}
	}
	if Schema("Pod") != nil {
		t.Error("a schema for pods")
	}
}

func TestSchemaHasTypes(t *testing.T) {
	for path, want := range map[string]string{
		"spec.template.spec.containerConcurrency":                                              "integer 0..1000",
		"spec.template.spec.containers":                                                        "array",
		"spec.template.spec.containers.items":                                                  "object",
		"spec.template.spec.containers.items.command.items":                                    "string",
		"spec.template.spec.containers.items.imagePullPolicy":                                  "string Always IfNotPresent Never",
		"spec.template.spec.containers.items.ports.items.containerPort":                        "integer 1..65535",
		"spec.template.spec.containers.items.resources.limits.additionalProperties":            "int-or-string",
		"spec.template.spec.containers.items.readinessProbe.tcpSocket.port":                    "int-or-string",
		"spec.template.spec.containers.items.env.items.valueFrom.secretKeyRef.optional":        "boolean",
		"spec.template.spec.containers.items.envFrom.items.configMapRef.name":                  "string",
		"spec.template.spec.containers.items.env.items.valueFrom.resourceFieldRef.divisor":     "int-or-string",
		"spec.template.spec.volumes.items.projected.sources.items.secret.items.items.mode":     "integer 0..511",
		"spec.template.spec.volumes.items.downwardAPI.items.items.fieldRef.fieldPath":          "string",
		"spec.template.metadata.annotations.additionalProperties":                              "string",
		"spec.template.metadata.name":                                                          "string",
		"spec.template.spec.affinity":                                                          "any",
		"spec.traffic.items.latestRevision":                                                    "boolean",
		"metadata.namespace":                                                                   "string",
		"status":                                                                               "any",
		"spec.template.spec.initContainers.items.livenessProbe.httpGet.httpHeaders.items.name": "string",
	} {
		s := Schema("Service")
		for name := range strings.SplitSeq(path, ".") {
			if name == "items" && s["items"] != nil || name == "additionalProperties" {
				s = child(s, name)
			} else {
				s = child(child(s, "properties"), name)
			}
		}
		if got := typeOf(s); got != want {
			t.Errorf("%s: got %s, want %s", path, got, want)
		}
	}
}

func typeOf(s map[string]any) string {
	kind, _ := s["type"].(string)
	switch {
	case s["x-kubernetes-int-or-string"] == true:
		kind = "int-or-string"
	case s["x-kubernetes-preserve-unknown-fields"] == true:
		kind = "any"
	case s["maximum"] != nil:
		kind += fmt.Sprintf(" %v..%v", s["minimum"], s["maximum"])
	}
	enum, _ := s["enum"].([]any)
	for _, v := range enum {
		kind += " " + v.(string)
	}
	return kind
}
