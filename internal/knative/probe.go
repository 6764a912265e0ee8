package knative

import "strings"

// IsProbe is Knative's own rule of what is a probe and no request. get returns a field of the head, or "".
func IsProbe(get func(name string) string) bool { return get(HeaderProbe) != "" || IsKubeletProbe(get) }

// IsKubeletProbe reports which of them are of the kubelet.
func IsKubeletProbe(get func(name string) string) bool {
	return get(HeaderKubeletProbe) != "" || strings.HasPrefix(get("User-Agent"), UserAgentKubelet)
}
