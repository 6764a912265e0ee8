package manifest

import (
	"encoding/json"
	"slices"

	"github.com/sluice-proxy/sluice/internal/knative"
	"k8s.io/apimachinery/pkg/runtime"
)

// Bind returns t with the variables of a sink in all of its containers, instead of those that it has.
func (t Template) Bind(s *Sender, uri string) Template {
	bind := func(c *Container) {
		c.Env = slices.DeleteFunc(slices.Clone(c.Env), func(v EnvVar) bool { return v.Name == knative.EnvSink || v.Name == knative.EnvOverrides })
		c.Env = append(c.Env, EnvVar{Name: knative.EnvSink, Value: uri}, EnvVar{Name: knative.EnvOverrides, Value: s.overrides()})
	}
	t.Init, t.Sidecars = slices.Clone(t.Init), slices.Clone(t.Sidecars)
	for _, c := range t.All() {
		bind(c)
	}
	return t
}

// Bind returns s with the variables of a sink in the containers of its template, as [Template.Bind].
func (s Service) Bind(to *Sender, uri string) Service {
	s.Template = s.Template.Bind(to, uri)
	s.Object = runtime.DeepCopyJSON(s.Object)
	spec := child(child(child(s.Object, "spec"), "template"), "spec")
	for _, c := range slices.Concat(children(spec, "initContainers"), children(spec, "containers")) {
		env, _ := c["env"].([]any)
		env = slices.DeleteFunc(env, func(v any) bool {
			m, _ := v.(map[string]any)
			return m["name"] == knative.EnvSink || m["name"] == knative.EnvOverrides
		})
		c["env"] = append(env, map[string]any{"name": knative.EnvSink, "value": uri}, map[string]any{"name": knative.EnvOverrides, "value": to.overrides()})
	}
	return s
}

// overrides returns the value of K_CE_OVERRIDES.
func (s *Sender) overrides() string {
	if s.Overrides == nil {
		return ""
	}
	text, err := json.Marshal(s.Overrides)
	if err != nil {
		panic(err) // strings
	}
	return string(text)
}

// Sender returns what sources have in common; nil: e is no source.
func (e *Eventing) Sender() *Sender {
	switch {
	case e.PingSource != nil:
		return &e.PingSource.Sender
	case e.ContainerSource != nil:
		return &e.ContainerSource.Sender
	case e.SinkBinding != nil:
		return &e.SinkBinding.Sender
	}
	return nil
}
