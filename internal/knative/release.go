package knative

import (
	"fmt"
	"strconv"
	"strings"
)

// Release is a release of Knative Serving: the y of 1.y. 0: unknown, and treated as the newest.
type Release uint8

// Releases with which the meaning of something changed (modules knative.dev/serving v0.35, v0.39 and v0.46).
const (
	releaseActivatorTimeouts Release = 8  // the activator applies timeouts, as the queue-proxy does
	releaseSystemTLS         Release = 12 // system-internal-tls replaces internal-encryption
	releaseOpenTelemetry     Release = 19 // metrics are off by default, and have other names
)

// Labels with the release of Knative's objects. labelVersion is Kubernetes' recommended label: it is Knative's version only
// if labelName is nameServing. Up to 1.2 the label was labelOldRelease.
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
		return 0, fmt.Errorf("%.40q is not a release of Knative such as 1.23", text)
	}
	return Release(y), nil
}

// ReleaseOf returns the release in the labels of an object of Knative's installation; 0 if they have none.
func ReleaseOf(labels map[string]string) Release {
	text := labels[labelOldRelease]
	if labels[labelName] == nameServing && labels[labelVersion] != "" {
		text = labels[labelVersion]
	}
	r, _ := ParseRelease(text) // may be "devel" or the name of a custom build
	return r
}

func (r Release) String() string {
	if r == 0 {
		return "not known"
	}
	return "1." + strconv.Itoa(int(r))
}

// ActivatorTimeouts reports whether the activator applies the Revision's timeouts. In earlier releases only the
// queue-proxy does: until 1.6 timeoutSeconds bounds the time to the first byte, in 1.7 the whole request.
func (r Release) ActivatorTimeouts() bool { return r == 0 || r >= releaseActivatorTimeouts }

// InternalEncryption reports whether certificates are those of internal-encryption; false for an unknown release.
func (r Release) InternalEncryption() bool { return r != 0 && r < releaseSystemTLS }

// MetricsByDefault reports whether Prometheus metrics are on unless config-observability turns them off.
func (r Release) MetricsByDefault() bool { return r != 0 && r < releaseOpenTelemetry }
