package standalone

import (
	"errors"
	"fmt"
	"maps"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/util/validation"
	"k8s.io/apimachinery/pkg/util/validation/field"

	"github.com/sluice-proxy/sluice/internal/standalone/kubeapi"
	"github.com/sluice-proxy/sluice/internal/standalone/manifest"
	"github.com/sluice-proxy/sluice/internal/standalone/objects"
)

// resources returns the resources of the API with the rules for writes.
func (s *Server) resources() []kubeapi.Resource {
	all := objects.Kinds()
	for i := range all {
		r := &all[i]
		switch r.GroupResource() {
		case services:
			r.Admit, r.Schema = s.admitService, objects.WithStatus(manifest.Schema(r.Kind))
		case revisions:
			r.Admit = s.admitRevision
		case configMaps, secrets:
			r.Admit = s.admitObject
		case namespaces:
			r.Admit = s.admitNamespace
		default:
			if eventingKind(r.GroupResource()) != "" {
				r.Admit, r.Schema = s.admitEventing, objects.WithStatus(manifest.Schema(r.Kind))
			}
		}
	}
	return all
}

// admitService admits a write of a Service if a file with it would be applied.
func (s *Server) admitService(w kubeapi.Write) (kubeapi.Admission, error) {
	var a kubeapi.Admission
	next := s.declared.clone()
	key := keyOf(w)
	if next.remove(key); w.New != nil {
		svc, unknown, err := manifest.ReadService(w.New.Object)
		if a.Unknown = errorsOf(unknown); err != nil {
			return a, invalid(w, err)
		}
		next.services[key.service()] = []manifest.Service{svc}
		a.Object = defaulted(svc.Object)
		one := manifest.Set{Services: []manifest.Service{svc}, Objects: next.objects}
		a.Warnings = append(a.Warnings, s.remarker(allFields).on(one)...)
	}
	return s.declares(a, w, next, func() { s.retry(key.service()) })
}

// declares completes the admission a of a write after which next is declared, unless that can't be served. Commit begins with first.
func (s *Server) declares(a kubeapi.Admission, w kubeapi.Write, next *declared, first func()) (kubeapi.Admission, error) {
	plan, err := s.plan(next)
	if err != nil {
		return a, invalid(w, err)
	}
	if s.declared.files[keyOf(w)] {
		a.Warnings = append(a.Warnings, fileWarning(w))
	}
	a.Commit = func() {
		first()
		s.declared = next
		plan.Commit()
		s.applied()
	}
	return a, nil
}

func keyOf(w kubeapi.Write) objectKey {
	o := w.New
	if o == nil {
		o = w.Old
	}
	return objectKey{w.Resource.GroupResource(), o.GetNamespace(), o.GetName()}
}

// defaulted returns a document that has been read as the object to be stored, with Knative's defaults.
func defaulted(document map[string]any) kubeapi.Object {
	manifest.Default(document)
	return &unstructured.Unstructured{Object: document}
}

// fileWarning tells a client whose write is not the last word.
func fileWarning(w kubeapi.Write) string {
	return fmt.Sprintf("%s %s is in a file of -f, which counts again when it changes and at the next start", w.Resource.Kind, keyOf(w).name)
}

func errorsOf(unknown []manifest.Unknown) (errs []error) {
	for _, u := range unknown {
		errs = append(errs, u)
	}
	return errs
}

// invalid returns the errors of a manifest as those of Kubernetes, with the fields.
func invalid(w kubeapi.Write, err error) error {
	var all field.ErrorList
	for _, err := range flat(err) {
		e, ok := errors.AsType[*manifest.Error](err)
		if !ok {
			return err
		}
		path := field.NewPath("metadata")
		if e.Field != "" {
			path = field.NewPath(e.Field)
		}
		all = append(all, field.Invalid(path, field.OmitValueType{}, e.Why))
	}
	kind := schema.GroupKind{Group: w.Resource.Group, Kind: w.Resource.Kind}
	return apierrors.NewInvalid(kind, keyOf(w).name, all)
}

// flat returns the errors that err joins.
func flat(err error) []error {
	joined, ok := err.(interface{ Unwrap() []error })
	if !ok {
		return []error{err}
	}
	var all []error
	for _, err := range joined.Unwrap() {
		all = append(all, flat(err)...)
	}
	return all
}

// admitRevision admits the deletion of a Revision without traffic.
func (s *Server) admitRevision(w kubeapi.Write) (kubeapi.Admission, error) {
	key := keyOf(w)
	plan, err := s.catalog.DeleteRevision(key.namespace, key.name)
	if err != nil {
		return kubeapi.Admission{}, apierrors.NewForbidden(revisions, key.name, err)
	}
	return kubeapi.Admission{Commit: func() {
		plan.Commit()
		s.applied()
	}}, nil
}

// admitObject admits a write of a ConfigMap or Secret.
func (s *Server) admitObject(w kubeapi.Write) (kubeapi.Admission, error) {
	var a kubeapi.Admission
	key := keyOf(w)
	next := s.declared.clone()
	if next.remove(key); w.New != nil {
		o, unknown, err := manifest.ReadObject(w.New.Object)
		if a.Unknown = errorsOf(unknown); err != nil {
			return a, invalid(w, err)
		}
		next.objects[o.Key()] = o
		a.Object = defaulted(o.Object)
	}
	if s.declared.files[key] {
		a.Warnings = append(a.Warnings, fileWarning(w))
	}
	a.Commit = func() {
		s.adoptObjects(next.objects)
		s.declared = next
		s.applied()
	}
	return a, nil
}

// admitNamespace admits a namespace, of which the metadata are the client's; the deletion of one deletes what is in it.
func (s *Server) admitNamespace(w kubeapi.Write) (kubeapi.Admission, error) {
	name := keyOf(w).name
	if w.New != nil {
		var errs field.ErrorList
		for _, why := range validation.IsDNS1123Label(name) { // it is a part of hosts
			errs = append(errs, field.Invalid(field.NewPath("metadata", "name"), name, why))
		}
		if len(errs) > 0 {
			return kubeapi.Admission{}, apierrors.NewInvalid(schema.GroupKind{Kind: w.Resource.Kind}, name, errs)
		}
		o := newNamespace(name)
		labels := cloned(w.New.GetLabels())
		maps.Copy(labels, o.GetLabels())
		o.Object["metadata"] = w.New.DeepCopy().Object["metadata"]
		o.SetLabels(labels)
		return kubeapi.Admission{Object: o, Commit: s.save}, nil
	}
	if name == metav1.NamespaceDefault {
		return kubeapi.Admission{}, apierrors.NewForbidden(namespaces, name, errors.New("this namespace may not be deleted"))
	}
	next := s.declared.clone()
	var gone []objectKey
	for _, r := range declaredResources {
		all, _ := s.api.store.List(r, name)
		for _, o := range all {
			key := objectKey{r, name, o.GetName()}
			gone = append(gone, key)
			next.remove(key)
		}
	}
	return s.declares(kubeapi.Admission{}, w, next, func() {
		for _, key := range gone {
			s.api.store.Delete(key.resource, key.namespace, key.name)
		}
	})
}
