package kubeapi

import (
	"errors"
	"fmt"
	"net/http"
	"reflect"
	"runtime/debug"
	"slices"
	"strings"
	"unicode"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	utilnet "k8s.io/apimachinery/pkg/util/net"

	"github.com/sluice-proxy/sluice/internal/standalone/kubeapi/store"
)

// write changes one object, or those that a deletecollection selects.
func (s *Server) write(w http.ResponseWriter, r *http.Request, q request) error {
	if !slices.Contains(verbs(q.resource), q.verb) {
		err := apierrors.NewMethodNotSupported(q.resource.GroupResource(), q.verb)
		if q.resource.ReadOnly != "" {
			err.ErrStatus.Message += ": " + q.resource.ReadOnly
		}
		return err
	}
	f, err := negotiate(r)
	if err != nil {
		return err
	}
	c, err := newChange(r, q)
	if err != nil {
		return err
	}
	if q.verb == "deletecollection" {
		return s.deleteCollection(w, r, c, f)
	}

	var before, after Object
	err = s.onOwner(func() (err error) {
		before, after, err = s.commit(c)
		return err
	})
	addWarnings(w.Header(), c.warnings)
	switch {
	case err != nil:
		return err
	case after == nil:
		writeJSON(w, r, http.StatusOK, metav1.Status{
			TypeMeta: metav1.TypeMeta{Kind: "Status", APIVersion: "v1"},
			Status:   metav1.StatusSuccess,
			Details:  &metav1.StatusDetails{Name: q.name, Group: q.resource.Group, Kind: q.resource.Resource, UID: before.GetUID()},
		})
	case before == nil:
		writeJSON(w, r, http.StatusCreated, f.object(q.resource, after))
	default:
		writeJSON(w, r, http.StatusOK, f.object(q.resource, after))
	}
	return nil
}

// deleteCollection deletes what is selected, one after the other until one may not be, and answers with a list of them.
func (s *Server) deleteCollection(w http.ResponseWriter, r *http.Request, c *change, f *format) error {
	o, err := listOptions(r)
	if err != nil {
		return err
	}
	wanted, err := newSelection(c.request, o)
	if err != nil {
		return err
	}
	var items []Object
	err = s.onOwner(func() error {
		items, _ = s.selected(wanted)
		for _, item := range items {
			c.namespace, c.name = item.GetNamespace(), item.GetName()
			if _, _, err := s.commit(c); err != nil {
				return err
			}
		}
		return nil
	})
	addWarnings(w.Header(), c.warnings)
	if err != nil {
		return err
	}
	writeJSON(w, r, http.StatusOK, f.list(c.resource, items, metav1.ListMeta{}))
	return nil
}

// onOwner runs f on the goroutine that may write to the store. A panic there is one here.
func (s *Server) onOwner(f func() error) (err error) {
	var fault any
	if !s.config.Do(func() {
		defer func() {
			if fault = recover(); fault != nil {
				fault = fmt.Sprintf("%v\n%s", fault, debug.Stack())
			}
		}()
		err = f()
	}) {
		return apierrors.NewServiceUnavailable("the quickstart ends")
	}
	if fault != nil {
		panic(fault)
	}
	return err
}

// namespacesResource is the resource whose objects are the namespaces that there are.
var namespacesResource = schema.GroupResource{Resource: "namespaces"}

// commit makes a change, or none if there is an error. It returns the object as it was and as it is, or with a dry run would
// be: nil if it is deleted. It runs on the goroutine that may write to the store.
func (s *Server) commit(c *change) (before, after Object, err error) {
	r := c.resource.GroupResource()
	before = s.config.Store.Get(r, c.namespace, c.name)
	if before == nil && c.creates && c.resource.Namespaced && s.config.Store.Get(namespacesResource, "", c.namespace) == nil {
		return nil, nil, apierrors.NewNotFound(namespacesResource, c.namespace)
	}
	next, err := c.edit(c.resource.shown(before))
	if err != nil {
		return nil, nil, err
	}
	if next = c.resource.stored(next); next != nil {
		store.Prepare(before, next)
	}
	admission, err := c.resource.Admit(Write{Resource: c.resource, Old: before, New: next, DryRun: c.dryRun})
	if err := c.strict(admission.Unknown); err != nil {
		return nil, nil, err
	}
	c.warnings = append(c.warnings, admission.Warnings...)
	if err != nil {
		return nil, nil, err
	}
	after = admission.Object
	switch {
	case after != nil:
		store.Prepare(before, after) // defaults belong to what the generation counts
		keepTimes(before, after)
	case next != nil:
		return nil, nil, errors.New("Admit of " + r.String() + " returned no object")
	}
	if c.dryRun {
		return before, after, nil
	}
	if after == nil {
		s.config.Store.Delete(r, c.namespace, c.name)
	} else if after = s.config.Store.Put(r, after); after == before {
		return before, after, nil // nothing has changed
	}
	if admission.Commit != nil {
		admission.Commit()
	}
	return before, after, nil
}

// keepTimes gives next the managedFields of before if nothing but their times differs, so that nothing has changed: an apply of
// what is there may take lists over that Admit has completed.
func keepTimes(before, next Object) {
	if before == nil {
		return
	}
	var timeless [2]Object
	for i, o := range []Object{before, next} {
		fields := o.GetManagedFields()
		for j := range fields {
			fields[j].Time = nil
		}
		timeless[i] = o.DeepCopy()
		timeless[i].SetManagedFields(fields)
		timeless[i].SetResourceVersion("")
	}
	if reflect.DeepEqual(timeless[0], timeless[1]) {
		next.SetManagedFields(before.GetManagedFields())
	}
}

// maxWarnings bounds the bytes of the warnings of an answer, as Kubernetes does: they are fields of its head.
const maxWarnings = 4 << 10

// addWarnings adds a Warning field (RFC 7234, section 5.5, with Kubernetes' code 299) for each.
func addWarnings(h http.Header, warnings []string) {
	total := 0
	seen := map[string]bool{}
	for _, text := range warnings {
		text = strings.Map(func(r rune) rune {
			if unicode.IsControl(r) {
				return ' '
			}
			return r
		}, strings.ToValidUTF8(text, "?"))
		if total += len(text); total > maxWarnings {
			return
		}
		if value, err := utilnet.NewWarningHeader(299, "-", text); err == nil && !seen[text] {
			h.Add("Warning", value)
		}
		seen[text] = true
	}
}
