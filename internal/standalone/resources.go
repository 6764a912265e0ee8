package standalone

import (
	"math"
	"runtime"
	"slices"
	"strconv"
	"strings"

	"k8s.io/apimachinery/pkg/api/resource"

	"github.com/sluice-proxy/sluice/internal/standalone/manifest"
	"github.com/sluice-proxy/sluice/internal/standalone/replica"
)

// resource returns a container's limit or request as in the downward API: in units of the divisor, rounded up. A missing
// limit is what the machine has; a missing request is the limit, or 0.
// https://kubernetes.io/docs/concepts/workloads/pods/downward-api/#downwardapi-resourceFieldRef
func (i *instance) resource(s *manifest.Source, c *manifest.Container) string {
	all := i.Template.All()
	if at := slices.IndexFunc(all, func(c *manifest.Container) bool { return c.Name == s.Container && c.Name != "" }); at >= 0 {
		c = all[at]
	}
	of, name, _ := strings.Cut(s.Path, ".")
	text, given := c.Resources.Limits[name]
	if of == "requests" {
		if request, ok := c.Resources.Requests[name]; ok {
			text, given = request, true
		}
	}
	if !given && of == "limits" {
		text = machine(name)
	}
	amount, divisor := units(text, name), units(s.Divisor, name)
	if divisor == 0 {
		divisor = units("1", name)
	}
	return strconv.FormatInt(int64(math.Ceil(amount/divisor)), 10)
}

// limitsOf returns the limits of c that can be enforced.
func limitsOf(c *manifest.Container) replica.Limits {
	memory, cpu := c.Resources.Limits["memory"], c.Resources.Limits["cpu"]
	return replica.Limits{Memory: int64(units(memory, "memory")), MemoryText: memory, CPU: int64(units(cpu, "cpu"))}
}

// units parses a quantity in the units that Kubernetes uses here: thousandths of a CPU, or bytes.
func units(text, name string) float64 {
	q, err := resource.ParseQuantity(text)
	switch {
	case err != nil: // it is empty: manifests have been validated
		return 0
	case name == "cpu":
		return float64(q.MilliValue())
	}
	return float64(q.Value())
}

// machine returns how much of a resource this machine has.
func machine(name string) string {
	switch name {
	case "cpu":
		return strconv.Itoa(runtime.NumCPU())
	case "memory":
		return strconv.FormatUint(memory(), 10)
	}
	return "0" // no limit on files
}
