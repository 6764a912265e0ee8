package activator

import "errors"

// ErrUnproven is the error of Config.Identify for a token that doesn't say which pod sent it.
var ErrUnproven = errors.New("activator: the token is no proof of a pod")

// PodIdentity is what a pod has proven of itself.
type PodIdentity struct{ Namespace, Name, UID string }
