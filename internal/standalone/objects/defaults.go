package objects

import (
	"strconv"

	"k8s.io/apimachinery/pkg/runtime"
)

// withDefaults returns a copy of a revision's template with Knative's defaults in its spec
// (knative.dev/serving/pkg/apis/serving/v1/revision_defaults.go, config-defaults).
func withDefaults(template map[string]any) map[string]any {
	template = runtime.DeepCopyJSON(template)
	if template == nil {
		template = map[string]any{}
	}
	spec, ok := template["spec"].(map[string]any)
	if !ok {
		spec = map[string]any{}
		template["spec"] = spec
	}
	for field, value := range map[string]any{"containerConcurrency": int64(0), "timeoutSeconds": int64(300), "enableServiceLinks": false} {
		if spec[field] == nil {
			spec[field] = value
		}
	}
	containers, init := items(spec, "containers"), items(spec, "initContainers")
	taken := map[string]bool{}
	for _, list := range [][]map[string]any{containers, init} {
		for _, c := range list {
			name, _ := c["name"].(string)
			taken[name] = true
		}
	}
	nameContainers(containers, "user-container", taken)
	nameContainers(init, "init-container", taken)
	for _, c := range containers {
		if c["resources"] == nil {
			c["resources"] = map[string]any{}
		}
		if ports := items(c, "ports"); len(containers) == 1 || len(ports) > 0 {
			defaultProbe(c)
		}
	}
	return template
}

// nameContainers names those without a name, with numbers if there are several.
func nameContainers(list []map[string]any, name string, taken map[string]bool) {
	next := 0
	for _, c := range list {
		if given, _ := c["name"].(string); given != "" {
			continue
		}
		free := name
		for ok := len(list) == 1 && !taken[free]; !ok; ok = !taken[free] {
			free = name + "-" + strconv.Itoa(next)
			next++
		}
		taken[free] = true
		c["name"] = free
	}
}

// defaultProbe completes the readiness probe of the container that gets the requests.
func defaultProbe(c map[string]any) {
	probe, ok := c["readinessProbe"].(map[string]any)
	if !ok {
		probe = map[string]any{}
		c["readinessProbe"] = probe
	}
	if probe["tcpSocket"] == nil && probe["httpGet"] == nil && probe["exec"] == nil && probe["grpc"] == nil {
		probe["tcpSocket"] = map[string]any{"port": int64(0)}
	}
	if probe["successThreshold"] == nil {
		probe["successThreshold"] = int64(1)
	}
	if period, _ := probe["periodSeconds"].(int64); period != 0 {
		for field, value := range map[string]any{"failureThreshold": int64(3), "timeoutSeconds": int64(1)} {
			if probe[field] == nil {
				probe[field] = value
			}
		}
	}
}
