package objects

import (
	"crypto/md5"
	"encoding/hex"
	"strings"
)

// maxName is the longest name of a Service or a label's value, RFC 1123.
const maxName = 63

// childName returns the name that Knative gives to an object that belongs to parent (knative.dev/pkg/kmeta.ChildName): where it
// would be too long, a hash replaces the parent's end.
func childName(parent, suffix string) string {
	const head = maxName - 2*md5.Size
	switch {
	case len(parent)+len(suffix) <= maxName:
		return parent + suffix
	case len(suffix) < head:
		return parent[:head-len(suffix)] + hash(parent) + suffix
	}
	name := parent[:min(head, len(parent))] + hash(parent+suffix)
	name += suffix[:maxName-len(name)]
	return strings.TrimRight(name, "-.")
}

func hash(s string) string {
	sum := md5.Sum([]byte(s))
	return hex.EncodeToString(sum[:])
}
