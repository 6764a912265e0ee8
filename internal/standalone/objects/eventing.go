package objects

import (
	"maps"
	"time"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"

	"github.com/sluice-proxy/sluice/internal/standalone/kubeapi"
)

// Eventing is the state of an object of Knative Eventing: a Broker, a Trigger, a PingSource, a ContainerSource or a SinkBinding.
//
// Conditions and their reasons are those of Knative Eventing 1.20 (knative.dev/eventing v0.48, pkg/apis/*/v1/*_lifecycle.go and
// pkg/reconciler). Those of its parts that aren't here, such as the channel of a Broker, are as those of the whole.
type Eventing interface {
	// describe returns the conditions, without Ready, and the other fields of the status.
	describe(o kubeapi.Object) ([]condition, map[string]any)
	// children makes the objects that belong to o.
	children(m *maker, o kubeapi.Object)
}

// OfEventing returns an object of Eventing with its status, and the objects that belong to it, as Of does for a service. Object is
// that as stored, of the resource r.
func OfEventing(r schema.GroupResource, object kubeapi.Object, state Eventing, present Lookup, now time.Time) []Item {
	m := &maker{present: present, now: now, namespace: object.GetNamespace()}
	o := object.DeepCopy()
	m.items = append(m.items, Item{r, o})
	conditions, fields := state.describe(o)
	status := m.status(made{Object: o, old: object}, append(conditions, ready(conditions...))...)
	maps.Copy(status, fields)
	o.Object["status"] = status
	state.children(m, o)
	return m.items
}

// Condition is whether something is as it should be, and if not why.
type Condition struct {
	State           State
	Reason, Message string
}

func (c Condition) of(kind string) condition {
	return condition{kind: kind, status: c.State, reason: c.Reason, message: c.Message}
}

// Sink is where events go.
type Sink struct {
	URI string // "": it isn't resolved
	Why string // it isn't
}

// resolved returns a condition: whether s is, or else the reason.
func (s Sink) resolved(kind, reason string) condition {
	if s.URI == "" {
		return condition{kind: kind, status: False, reason: reason, message: s.Why}
	}
	return condition{kind: kind, status: True}
}

// deadLetters is the condition of a dead letter sink; nil: there is none.
func deadLetters(s *Sink, fields map[string]any) condition {
	const kind = "DeadLetterSinkResolved"
	if s == nil {
		return condition{kind: kind, status: True, reason: "DeadLetterSinkNotConfigured", message: "No dead letter sink is configured."}
	}
	setNonzero(fields, "deadLetterSinkUri", s.URI)
	return s.resolved(kind, "Unable to get the dead letter sink's URI")
}

// What a cluster says of OpenID Connect while its feature is disabled.
const oidcOff = "authentication-oidc feature disabled"

func identity() condition {
	return condition{kind: "OIDCIdentityCreated", status: True, reason: oidcOff}
}

// ReadyOf returns the condition Ready of a state.
func ReadyOf(state Eventing) Condition {
	conditions, _ := state.describe(&unstructured.Unstructured{})
	c := ready(conditions...)
	return Condition{State: c.status, Reason: c.reason, Message: c.message}
}

// alone is for states to which no other objects belong.
type alone struct{}

func (alone) children(*maker, kubeapi.Object) {}
