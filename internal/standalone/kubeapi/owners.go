package kubeapi

import (
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	utiljson "k8s.io/apimachinery/pkg/util/json"
	"sigs.k8s.io/structured-merge-diff/v6/fieldpath"
	"sigs.k8s.io/structured-merge-diff/v6/merge"
	"sigs.k8s.io/structured-merge-diff/v6/typed"
)

// owners are an object's managedFields: which manager has set which of its fields. They are kept by the library that
// apimachinery's package managedfields wraps. That package also links a parser of OpenAPI, which would take a sixth of the time
// in which the quickstart is built.
//
// Types are deduced, as for custom resources without a schema: a list has one owner as a whole.
type owners struct {
	fields fieldpath.ManagedFields // by manager, as JSON: see managerKey
	times  map[string]*metav1.Time
}

// Names of managers: of fields that were there before the first apply, as in a cluster, and in an update of owners.
const (
	beforeApply = "before-first-apply"
	thisWrite   = "this-write"
)

// unowned are the fields that belong to no manager.
var unowned = fieldpath.NewSet(
	fieldpath.MakePathOrDie("apiVersion"), fieldpath.MakePathOrDie("kind"), fieldpath.MakePathOrDie("metadata"),
	fieldpath.MakePathOrDie("metadata", "name"), fieldpath.MakePathOrDie("metadata", "namespace"), fieldpath.MakePathOrDie("metadata", "uid"),
	fieldpath.MakePathOrDie("metadata", "generation"), fieldpath.MakePathOrDie("metadata", "resourceVersion"),
	fieldpath.MakePathOrDie("metadata", "creationTimestamp"), fieldpath.MakePathOrDie("metadata", "selfLink"),
)

// managerKey identifies the manager of an entry. An apply replaces the one before, whatever its version.
func managerKey(e metav1.ManagedFieldsEntry) string {
	key := metav1.ManagedFieldsEntry{Manager: e.Manager, Operation: e.Operation, APIVersion: e.APIVersion, Subresource: e.Subresource}
	if e.Operation == metav1.ManagedFieldsOperationApply {
		key.APIVersion = ""
	}
	text, _ := json.Marshal(key) // strings only
	return string(text)
}

// ownersOf decodes managedFields.
func ownersOf(entries []metav1.ManagedFieldsEntry) (owners, error) {
	o := owners{fieldpath.ManagedFields{}, map[string]*metav1.Time{}}
	for _, e := range entries {
		set := fieldpath.NewSet()
		if e.FieldsV1 == nil {
			return o, fmt.Errorf("metadata.managedFields: manager %q has no fieldsV1", e.Manager)
		}
		if err := set.FromJSON(strings.NewReader(e.FieldsV1.GetRawString())); err != nil {
			return o, fmt.Errorf("metadata.managedFields: manager %q: %w", e.Manager, err)
		}
		key := managerKey(e)
		o.fields[key] = fieldpath.NewVersionedSet(set, fieldpath.APIVersion(e.APIVersion), e.Operation == metav1.ManagedFieldsOperationApply)
		o.times[key] = e.Time
	}
	return o, nil
}

// entries encodes owners.
func (o owners) entries() ([]metav1.ManagedFieldsEntry, error) {
	var all []metav1.ManagedFieldsEntry
	for key, set := range o.fields {
		var e metav1.ManagedFieldsEntry
		text, err := set.Set().ToJSON()
		if err = cmp.Or(err, json.Unmarshal([]byte(key), &e)); err != nil {
			return nil, err
		}
		e.APIVersion, e.Time, e.FieldsType, e.FieldsV1 = string(set.APIVersion()), o.times[key], "FieldsV1", &metav1.FieldsV1{}
		e.FieldsV1.SetRawBytes(text)
		all = append(all, e)
	}
	slices.SortFunc(all, func(a, b metav1.ManagedFieldsEntry) int {
		return cmp.Or(cmp.Compare(a.Operation, b.Operation), cmp.Compare(a.Manager, b.Manager), cmp.Compare(a.APIVersion, b.APIVersion), cmp.Compare(a.Subresource, b.Subresource))
	})
	return all, nil
}

// give makes set the fields of a manager, without those that belong to none.
func (o owners) give(key string, set *fieldpath.Set, version fieldpath.APIVersion, applied bool) {
	if set = set.Difference(unowned); set.Empty() {
		delete(o.fields, key)
		return
	}
	o.fields[key] = fieldpath.NewVersionedSet(set, version, applied)
}

// sameFields is the [merge.Converter] for kinds whose versions have the same fields.
type sameFields struct{}

// Convert implements [merge.Converter].
func (sameFields) Convert(o *typed.TypedValue, _ fieldpath.APIVersion) (*typed.TypedValue, error) {
	return o, nil
}

// IsMissingVersionError implements [merge.Converter].
func (sameFields) IsMissingVersionError(error) bool { return false }

// fieldsOfObject returns an object for the library, without its managedFields; nil is an empty one.
func fieldsOfObject(o Object) (*typed.TypedValue, error) {
	fields := map[string]any{}
	if o != nil {
		o = o.DeepCopy()
		o.SetManagedFields(nil)
		fields = o.Object
	}
	return typed.DeducedParseableType.FromUnstructured(fields, typed.AllowDuplicates)
}

// entry is c's in managedFields.
func (c *change) entry(operation metav1.ManagedFieldsOperationType) metav1.ManagedFieldsEntry {
	return metav1.ManagedFieldsEntry{Manager: c.manager, Operation: operation, APIVersion: c.resource.GroupVersion().String()}
}

// owned returns next with the fields that differ from before owned by c.manager. The client may have changed managedFields,
// which [{}] removes. An object without them, such as one from a file, has none until something is applied.
func (c *change) owned(before, next Object) (Object, error) {
	o, err := ownersOf(next.GetManagedFields())
	if sent := next.GetManagedFields(); before != nil && (err != nil || len(sent) == 0) {
		if len(sent) == 1 && sent[0] == (metav1.ManagedFieldsEntry{}) {
			next.SetManagedFields(nil)
			return next, nil
		}
		o, err = ownersOf(before.GetManagedFields())
	}
	if before != nil && (err != nil || len(o.fields) == 0) {
		next.SetManagedFields(nil)
		return next, nil
	}
	was, err := fieldsOfObject(before)
	if err != nil {
		return nil, c.undecodable(err)
	}
	is, err := fieldsOfObject(next)
	if err != nil {
		return nil, c.undecodable(err)
	}
	entry := c.entry(metav1.ManagedFieldsOperationUpdate)
	version := fieldpath.APIVersion(entry.APIVersion)
	updater := (&merge.UpdaterBuilder{Converter: sameFields{}}).BuildUpdater()
	if _, o.fields, err = updater.Update(was, is, version, o.fields, thisWrite); err != nil {
		return nil, c.undecodable(err)
	}
	if changed := o.fields[thisWrite]; changed != nil {
		delete(o.fields, thisWrite)
		set, key := changed.Set(), managerKey(entry)
		if present := o.fields[key]; present != nil {
			set = set.Union(present.Set())
		}
		o.give(key, set, version, false)
		o.times[key] = now()
	}
	entries, err := o.entries()
	if err != nil {
		return nil, err
	}
	next.SetManagedFields(entries)
	return next, nil
}

// now is the time in an entry, which has seconds.
func now() *metav1.Time {
	t := metav1.NewTime(time.Now().Truncate(time.Second))
	return &t
}

// merged returns before with the fields of an apply, without those that its manager has applied and no longer does.
func (c *change) merged(before, applied Object) (Object, error) {
	if len(applied.GetManagedFields()) > 0 {
		return nil, apierrors.NewBadRequest("metadata.managedFields must be nil")
	}
	was, err := fieldsOfObject(before)
	if err != nil {
		return nil, c.undecodable(err)
	}
	config, err := fieldsOfObject(applied)
	if err != nil {
		return nil, c.undecodable(err)
	}
	var o owners
	if before != nil {
		o, err = ownersOf(before.GetManagedFields())
	}
	entry := c.entry(metav1.ManagedFieldsOperationApply)
	version := fieldpath.APIVersion(entry.APIVersion)
	if before == nil || err != nil || len(o.fields) == 0 {
		o, _ = ownersOf(nil)
		set, err := was.ToFieldSet()
		if err != nil {
			return nil, c.undecodable(err)
		}
		first := metav1.ManagedFieldsEntry{Manager: beforeApply, Operation: metav1.ManagedFieldsOperationUpdate, APIVersion: entry.APIVersion}
		o.give(managerKey(first), set, version, false)
	}
	key := managerKey(entry)
	updater := (&merge.UpdaterBuilder{Converter: sameFields{}}).BuildUpdater()
	var conflicts merge.Conflicts
	is, fields, err := updater.Apply(was, config, version, o.fields.Copy(), key, c.force)
	if errors.As(err, &conflicts) && c.manager == kubectl && before != nil {
		// What kubectl has applied itself isn't another's.
		own := lastAppliedFields(before, was)
		conflicts = slices.DeleteFunc(conflicts, func(conflict merge.Conflict) bool { return own.Has(conflict.Path) })
		if len(conflicts) == 0 {
			is, fields, err = updater.Apply(was, config, version, o.fields, key, true)
		}
	}
	if len(conflicts) > 0 {
		return nil, conflictOf(conflicts)
	} else if err != nil {
		return nil, c.undecodable(err)
	}
	o.fields = fields
	if set := o.fields[key]; set != nil {
		o.give(key, set.Set(), version, true)
	}
	var next Object
	if is == nil { // nothing has changed
		next = before.DeepCopy()
	} else {
		next = &unstructured.Unstructured{Object: is.AsValue().Unstructured().(map[string]any)}
		o.times[key] = now()
	}
	entries, err := o.entries()
	if err != nil {
		return nil, err
	}
	next.SetManagedFields(entries)
	if annotations := next.GetAnnotations(); c.manager == kubectl && annotations[lastApplied] != "" {
		text, err := json.Marshal(applied.Object)
		if err != nil {
			return nil, err
		}
		annotations[lastApplied] = string(text) + "\n"
		next.SetAnnotations(annotations)
	}
	return next, nil
}

// kubectl applies on the server as this manager, and without it keeps what it has applied in the annotation lastApplied. As in
// a cluster, the server updates that, so that users may do both.
const (
	kubectl     = "kubectl"
	lastApplied = "kubectl.kubernetes.io/last-applied-configuration"
)

// lastAppliedFields are those fields of o that are as kubectl has applied them without the server. Is is o for the library.
func lastAppliedFields(o Object, is *typed.TypedValue) *fieldpath.Set {
	none := fieldpath.NewSet()
	var fields map[string]any
	if err := utiljson.Unmarshal([]byte(o.GetAnnotations()[lastApplied]), &fields); err != nil || fields["apiVersion"] != o.GetAPIVersion() {
		return none
	}
	applied, err := typed.DeducedParseableType.FromUnstructured(fields)
	if err != nil {
		return none
	}
	set, err := applied.ToFieldSet()
	if err != nil {
		return none
	}
	differs, err := applied.Compare(is)
	if err != nil {
		return none
	}
	return set.Difference(differs.Modified).Difference(differs.Added).Difference(differs.Removed)
}

// conflictOf returns the Status for fields that other managers own.
func conflictOf(conflicts merge.Conflicts) error {
	var causes []metav1.StatusCause
	var lines []string
	for _, conflict := range conflicts {
		var e metav1.ManagedFieldsEntry
		_ = json.Unmarshal([]byte(conflict.Manager), &e) // see managerKey
		with := fmt.Sprintf("conflict with %q", e.Manager)
		if e.Operation == metav1.ManagedFieldsOperationUpdate {
			with += " using " + e.APIVersion
		}
		causes = append(causes, metav1.StatusCause{Type: metav1.CauseTypeFieldManagerConflict, Message: with, Field: conflict.Path.String()})
		lines = append(lines, with+": "+conflict.Path.String())
	}
	plural := "s"
	if len(lines) == 1 {
		plural = ""
	}
	slices.Sort(lines)
	return apierrors.NewApplyConflict(causes, fmt.Sprintf("Apply failed with %d conflict%s: %s", len(lines), plural, strings.Join(lines, "\n")))
}
