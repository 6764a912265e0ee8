package standalone

import (
	"fmt"
	"maps"
	"slices"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/labels"

	"github.com/sluice-proxy/sluice/internal/standalone/manifest"
	"github.com/sluice-proxy/sluice/internal/standalone/objects"
)

// bound returns the documents of all Services, with the variables of the SinkBindings whose subjects they are: as Knative's webhook,
// these make other revisions, but here the Service itself stays as it was declared.
func (d *declared) bound() []manifest.Service {
	docs := d.docs()
	for _, key := range slices.SortedFunc(maps.Keys(d.eventing), compareEventing) {
		e := d.eventing[key]
		if e.SinkBinding == nil {
			continue
		}
		sink := d.resolve(e.Namespace, &e.SinkBinding.Sink)
		for i := range docs {
			if sink.URI != "" && binds(e, &docs[i]) {
				docs[i] = docs[i].Bind(&e.SinkBinding.Sender, sink.URI)
			}
		}
	}
	return docs
}

// binds reports whether a Service is the subject of a SinkBinding.
func binds(e *manifest.Eventing, svc *manifest.Service) bool {
	s := &e.SinkBinding.Subject
	if svc.Namespace != e.Namespace || s.Kind != "Service" || s.APIVersion != "serving.knative.dev/v1" {
		return false
	}
	if s.Selector == nil {
		return s.Name == svc.Name
	}
	of, _, _ := unstructured.NestedStringMap(svc.Object, "metadata", "labels")
	return s.Selector.Matches(labels.Set(of))
}

// subject returns whether there is what a SinkBinding binds. With a selector there may be nothing.
func (d *declared) subject(e *manifest.Eventing) objects.Condition {
	s := &e.SinkBinding.Subject
	var why error
	if s.Kind != "Service" || s.APIVersion != "serving.knative.dev/v1" {
		why = fmt.Errorf("%s of %s is not served by the quickstart: a subject is a Service of serving.knative.dev/v1", s.Kind, s.APIVersion)
	} else if s.Selector == nil {
		_, why = d.address(e.Namespace, &s.Reference)
	}
	if why != nil {
		return objects.Condition{State: objects.False, Reason: "SubjectMissing", Message: why.Error()}
	}
	return objects.Condition{State: objects.True}
}
