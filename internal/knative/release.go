package knative

import (
	"fmt"
	"strconv"
	"strings"
)

// Release is a release of Knative Serving: the y of 1.y. 0: it isn't known, and the newest is as good a guess as any.
type Release uint8

// Releases with which the meaning of something changed (modules knative.dev/serving v0.35, v0.39 and v0.46).
const (
	releaseActivatorTimeouts Release = 8  // the activator bounds requests, as the queue-proxy does
	releaseSystemTLS         Release = 12 // system-internal-tls, in the place of internal-encryption
	releaseOpenTelemetry     Release = 19 // metrics are off unless configured, and have other names
)

// Labels by which Knative's objects say which release they are of. The latter was the former's name up to 1.2; the former
// is Kubernetes' recommended label, which says something of Knative only beside the name.
const (
	labelVersion    = "app.kubernetes.io/version"
	labelName       = "app.kubernetes.io/name"
	nameServing     = "knative-serving"
	labelOldRelease = "serving.knative.dev/release"
)

// ParseRelease reads 1.y, 1.y.z or either after a v.
func ParseRelease(text string) (Release, error) {
	major, rest, _ := strings.Cut(strings.TrimPrefix(text, "v"), ".")
	minor, _, _ := strings.Cut(rest, ".")
	y, err := strconv.ParseUint(minor, 10, 8)
	if major != "1" || err != nil || y == 0 {
		return 0, fmt.Errorf("%.40q is no release of Knative such as 1.23", text)
	}
	return Release(y), nil
}

// ReleaseOf reads the labels of an object that Knative was installed with. 0: they don't say it.
func ReleaseOf(labels map[string]string) Release {
	text := labels[labelOldRelease]
	if labels[labelName] == nameServing && labels[labelVersion] != "" {
		text = labels[labelVersion]
	}
	r, _ := ParseRelease(text) // "devel", or somebody's own
	return r
}

func (r Release) String() string {
	if r == 0 {
		return "not known"
	}
	return "1." + strconv.Itoa(int(r))
}

// ActivatorTimeouts reports whether the activator bounds requests by the Revision's timeouts. Before, the queue-proxy
// alone did: timeoutSeconds up to the first byte until 1.6, and the whole request in 1.7.
func (r Release) ActivatorTimeouts() bool { return r == 0 || r >= releaseActivatorTimeouts }

// InternalEncryption reports whether certificates are those of internal-encryption. It is false when nothing is known.
func (r Release) InternalEncryption() bool { return r != 0 && r < releaseSystemTLS }

// MetricsByDefault reports whether Prometheus' metrics are on where config-observability says nothing of them.
func (r Release) MetricsByDefault() bool { return r != 0 && r < releaseOpenTelemetry }
