package clients

import (
	"context"
	"encoding/json"
	"fmt"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/fields"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/jsonmergepatch"
	"k8s.io/apimachinery/pkg/watch"
	"k8s.io/utils/ptr"
	"knative.dev/pkg/apis"
	duckv1 "knative.dev/pkg/apis/duck/v1"
	"knative.dev/serving/pkg/apis/serving"
	servingv1 "knative.dev/serving/pkg/apis/serving/v1"
	"knative.dev/serving/pkg/client/clientset/versioned"
	typedv1 "knative.dev/serving/pkg/client/clientset/versioned/typed/serving/v1"
)

// kn sends what kn sends, with the same typed clients, and waits as it does (knative.dev/client/pkg/serving/v1, pkg/wait).
type kn struct {
	t         *testing.T
	namespace string
	typedv1.ServingV1Interface
}

func newKn(t *testing.T, q *quickstart) *kn {
	t.Helper()
	all, err := versioned.NewForConfig(q.config())
	if err != nil {
		t.Fatal(err)
	}
	return &kn{t: t, namespace: "default", ServingV1Interface: all.ServingV1()}
}

// sample is what kn service create --image … --port 8080 --env TARGET=… makes.
func sample(name, target string) *servingv1.Service {
	return &servingv1.Service{
		TypeMeta:   metav1.TypeMeta{Kind: "Service", APIVersion: "serving.knative.dev/v1"},
		ObjectMeta: metav1.ObjectMeta{Name: name, Namespace: "default"},
		Spec: servingv1.ServiceSpec{ConfigurationSpec: servingv1.ConfigurationSpec{Template: servingv1.RevisionTemplateSpec{
			ObjectMeta: metav1.ObjectMeta{Annotations: map[string]string{"client.knative.dev/user-image": "ghcr.io/knative/helloworld-go:latest"}},
			Spec: servingv1.RevisionSpec{PodSpec: corev1.PodSpec{Containers: []corev1.Container{{
				Image: "ghcr.io/knative/helloworld-go:latest",
				Ports: []corev1.ContainerPort{{ContainerPort: 8080}},
				Env:   []corev1.EnvVar{{Name: "TARGET", Value: target}},
			}}}},
		}}},
	}
}

// watches is the watch with which kn waits for an object: by name, from the present state on, for a limited time.
func watches(t *testing.T, name string, begin func(context.Context, metav1.ListOptions) (watch.Interface, error)) watch.Interface {
	t.Helper()
	w, err := begin(t.Context(), metav1.ListOptions{
		FieldSelector:  fields.OneTermEqualSelector("metadata.name", name).String(),
		Watch:          true,
		TimeoutSeconds: ptr.To(int64((patience + 30*time.Second) / time.Second)),
	})
	if err != nil {
		t.Fatal(err)
	}
	return w
}

// next returns the next event that is as it should be.
func next(t *testing.T, w watch.Interface, what string, is func(watch.Event) bool) runtime.Object {
	t.Helper()
	timeout := time.After(patience)
	for {
		select {
		case event, ok := <-w.ResultChan():
			if !ok || event.Type == watch.Error {
				t.Fatalf("%s: the watch ended: %v", what, event)
			}
			if is(event) {
				return event.Object
			}
		case <-timeout:
			t.Fatalf("%s: no such event in time", what)
		}
	}
}

// waits is kn's wait for Ready: events whose generation hasn't been observed are skipped.
func (k *kn) waits(name string) *servingv1.Service {
	k.t.Helper()
	w := watches(k.t, name, k.Services(k.namespace).Watch)
	defer w.Stop()
	return next(k.t, w, "service "+name+" is ready", func(event watch.Event) bool {
		s := event.Object.(*servingv1.Service)
		return s.Generation == s.Status.ObservedGeneration && s.Status.GetCondition(apis.ConditionReady).IsTrue()
	}).(*servingv1.Service)
}

// create is kn service create.
func (k *kn) create(name, target string) *servingv1.Service {
	k.t.Helper()
	if _, err := k.Services(k.namespace).Get(k.t.Context(), name, metav1.GetOptions{}); !apierrors.IsNotFound(err) {
		k.t.Fatalf("before the service is there: %v", err)
	}
	if _, err := k.Services(k.namespace).Create(k.t.Context(), sample(name, target), metav1.CreateOptions{}); err != nil {
		k.t.Fatal(err)
	}
	return k.waits(name)
}

// conditions is kn's column CONDITIONS.
func conditions(of duckv1.Conditions) string {
	ok := 0
	for _, c := range of {
		if c.Status == corev1.ConditionTrue {
			ok++
		}
	}
	return fmt.Sprintf("%d OK / %d", ok, len(of))
}

func TestKnServiceCreate(t *testing.T) {
	t.Parallel()
	q := newQuickstart(t, scalesSoon...)
	k, terminal := newKn(t, q), &terminal{t: t, dir: t.TempDir()}
	s := k.create("hello", "World")
	if s.Status.URL == nil || s.Status.LatestReadyRevisionName != "hello-00001" || s.Generation != 1 || s.UID == "" || s.CreationTimestamp.IsZero() {
		t.Errorf("%+v", s)
	}
	terminal.until("curl -sS "+q.url("default", "hello"), "^Hello World!$")
	if _, err := k.Services("default").Create(t.Context(), sample("hello", "again"), metav1.CreateOptions{}); !apierrors.IsAlreadyExists(err) {
		t.Errorf("a second time: %v", err)
	}
	if _, err := k.Services("default").Create(t.Context(), sample("No_Name", "x"), metav1.CreateOptions{}); !apierrors.IsInvalid(err) && !apierrors.IsBadRequest(err) {
		t.Errorf("a bad name: %v", err)
	}
	if _, err := k.Services("elsewhere").Create(t.Context(), &servingv1.Service{ObjectMeta: metav1.ObjectMeta{Name: "a"}, Spec: sample("a", "a").Spec}, metav1.CreateOptions{}); !apierrors.IsNotFound(err) {
		t.Errorf("a namespace that isn't there: %v", err)
	}
}

// kn service update reads, changes and writes back, and does so again after a conflict.
func TestKnServiceUpdateAfterAConflict(t *testing.T) {
	t.Parallel()
	q := newQuickstart(t, scalesSoon...)
	k, terminal := newKn(t, q), &terminal{t: t, dir: t.TempDir()}
	stale := k.create("hello", "World")
	services := k.Services("default")
	change := func(s *servingv1.Service, target string) error {
		s.Spec.Template.Spec.Containers[0].Env[0].Value = target
		_, err := services.Update(t.Context(), s, metav1.UpdateOptions{})
		return err
	}
	fresh, err := services.Get(t.Context(), "hello", metav1.GetOptions{})
	if err != nil {
		t.Fatal(err)
	}
	if err := change(fresh, "first"); err != nil {
		t.Fatal(err)
	}
	if err := change(stale, "second"); !apierrors.IsConflict(err) {
		t.Fatalf("an update of an old version: %v", err)
	}
	for tries := 0; ; tries++ { // others, such as its status, change it too
		fresh, err := services.Get(t.Context(), "hello", metav1.GetOptions{})
		if err != nil {
			t.Fatal(err)
		}
		if err = change(fresh, "second"); err == nil {
			break
		} else if !apierrors.IsConflict(err) || tries > 3 {
			t.Fatal(err)
		}
	}
	if s := k.waits("hello"); s.Generation != 3 || s.Status.LatestReadyRevisionName != "hello-00003" {
		t.Errorf("generation %d, ready %s", s.Generation, s.Status.LatestReadyRevisionName)
	}
	terminal.until("curl -sS "+q.url("default", "hello"), "^Hello second!$")
}

// kn service apply sends a merge patch with the last-applied annotation.
func TestKnServiceApply(t *testing.T) {
	t.Parallel()
	q := newQuickstart(t, scalesSoon...)
	k, terminal := newKn(t, q), &terminal{t: t, dir: t.TempDir()}
	services := k.Services("default")
	annotated := func(s *servingv1.Service) []byte {
		plain, err := json.Marshal(s)
		if err != nil {
			t.Fatal(err)
		}
		s.Annotations = map[string]string{corev1.LastAppliedConfigAnnotation: string(plain)}
		all, err := json.Marshal(s)
		if err != nil {
			t.Fatal(err)
		}
		return all
	}
	first := sample("hello", "World")
	annotated(first)
	if _, err := services.Create(t.Context(), first, metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
	k.waits("hello")
	apply := func(modified *servingv1.Service) *servingv1.Service {
		current, err := services.Get(t.Context(), "hello", metav1.GetOptions{})
		if err != nil {
			t.Fatal(err)
		}
		present, err := json.Marshal(current)
		if err != nil {
			t.Fatal(err)
		}
		patch, err := jsonmergepatch.CreateThreeWayJSONMergePatch([]byte(current.Annotations[corev1.LastAppliedConfigAnnotation]), annotated(modified), present)
		if err != nil {
			t.Fatal(err)
		}
		if _, err = services.Patch(t.Context(), "hello", types.MergePatchType, patch, metav1.PatchOptions{}); err != nil {
			t.Fatal(err)
		}
		return k.waits("hello")
	}
	labeled := sample("hello", "Apply")
	labeled.Labels = map[string]string{"a": "b"}
	if s := apply(labeled); s.Generation != 2 || s.Labels["a"] != "b" {
		t.Errorf("generation %d, labels %v", s.Generation, s.Labels)
	}
	terminal.until("curl -sS "+q.url("default", "hello"), "^Hello Apply!$")
	if s := apply(sample("hello", "Apply")); s.Generation != 2 || s.Labels["a"] != "" {
		t.Errorf("generation %d, labels %v", s.Generation, s.Labels)
	}
}

// kn service delete --wait deletes in the foreground and waits for the event DELETED.
func TestKnServiceDelete(t *testing.T) {
	t.Parallel()
	k := newKn(t, newQuickstart(t, scalesSoon...))
	k.create("hello", "World")
	w := watches(t, "hello", k.Services("default").Watch)
	defer w.Stop()
	if err := k.Services("default").Delete(t.Context(), "hello", metav1.DeleteOptions{PropagationPolicy: ptr.To(metav1.DeletePropagationForeground)}); err != nil {
		t.Fatal(err)
	}
	next(t, w, "DELETED", func(event watch.Event) bool { return event.Type == watch.Deleted })
	if err := k.Services("default").Delete(t.Context(), "hello", metav1.DeleteOptions{PropagationPolicy: ptr.To(metav1.DeletePropagationBackground)}); !apierrors.IsNotFound(err) {
		t.Errorf("a second time: %v", err)
	}
	list, err := k.Revisions("default").List(t.Context(), metav1.ListOptions{})
	if err != nil || len(list.Items) > 0 {
		t.Errorf("%d revisions are left, %v", len(list.Items), err)
	}
}

// kn service list and describe, kn route list and describe.
func TestKnServicesAndRoutes(t *testing.T) {
	t.Parallel()
	k := newKn(t, newQuickstart(t, scalesSoon...))
	for _, name := range []string{"b", "a", "c"} {
		k.create(name, "World")
	}
	list, err := k.Services("").List(t.Context(), metav1.ListOptions{})
	if err != nil {
		t.Fatal(err)
	}
	if len(list.Items) != 3 || list.ResourceVersion == "" {
		t.Fatalf("%d items, version %q", len(list.Items), list.ResourceVersion)
	}
	for i, s := range list.Items {
		if want := string("abc"[i]); s.Name != want {
			t.Errorf("service %d is %s", i, s.Name)
		}
		if got := conditions(s.Status.Conditions); got != "3 OK / 3" {
			t.Errorf("service %s: %s: %+v", s.Name, got, s.Status.Conditions)
		}
	}
	one, err := k.Services("").List(t.Context(), metav1.ListOptions{FieldSelector: "metadata.name=b"})
	if err != nil || len(one.Items) != 1 {
		t.Errorf("by name: %v, %v", one, err)
	}
	routes, err := k.Routes("default").List(t.Context(), metav1.ListOptions{})
	if err != nil || len(routes.Items) != 3 {
		t.Fatalf("routes: %v, %v", routes, err)
	}
	for _, r := range routes.Items {
		if got := conditions(r.Status.Conditions); got != "4 OK / 4" || r.Status.URL == nil {
			t.Errorf("route %s: %s: %+v", r.Name, got, r.Status)
		}
	}
	c, err := k.Configurations("default").Get(t.Context(), "b", metav1.GetOptions{})
	if err != nil || conditions(c.Status.Conditions) != "1 OK / 1" {
		t.Errorf("configuration: %+v, %v", c.Status.Conditions, err)
	}
}

// kn revision list, describe and delete.
func TestKnRevisions(t *testing.T) {
	t.Parallel()
	q := newQuickstart(t, scalesSoon...)
	k, terminal := newKn(t, q), &terminal{t: t, dir: t.TempDir()}
	s := k.create("hello", "World")
	k.create("other", "World")
	s.Spec.Template.Spec.Containers[0].Env[0].Value = "Knative"
	if _, err := k.Services("default").Update(t.Context(), s, metav1.UpdateOptions{}); err != nil {
		t.Fatal(err)
	}
	k.waits("hello")
	list, err := k.Revisions("default").List(t.Context(), metav1.ListOptions{LabelSelector: labels.Set{serving.ServiceLabelKey: "hello"}.String()})
	if err != nil || len(list.Items) != 2 {
		t.Fatalf("%d revisions, %v", len(list.Items), err)
	}
	for i, r := range list.Items {
		if r.Name != fmt.Sprintf("hello-0000%d", i+1) || r.Labels[serving.ConfigurationGenerationLabelKey] != fmt.Sprint(i+1) || r.Generation != 1 {
			t.Errorf("%s: %v", r.Name, r.Labels)
		}
		if !metav1.IsControlledBy(&r, must(k.Configurations("default").Get(t.Context(), "hello", metav1.GetOptions{}))) {
			t.Errorf("%s is controlled by %v", r.Name, r.OwnerReferences)
		}
	}
	// Of the four conditions, Active is not true while there are no replicas.
	counts := func(want string) {
		t.Helper()
		for end := time.Now().Add(patience); ; time.Sleep(20 * time.Millisecond) {
			r := must(k.Revisions("default").Get(t.Context(), "hello-00002", metav1.GetOptions{}))
			if got := conditions(r.Status.Conditions); got == want {
				return
			} else if time.Now().After(end) {
				t.Fatalf("%s, want %s: %+v", got, want, r.Status.Conditions)
			}
		}
	}
	terminal.until("curl -sS "+q.url("default", "hello"), "^Hello Knative!$")
	counts("4 OK / 4")
	counts("3 OK / 4")

	w := watches(t, "hello-00001", k.Revisions("default").Watch)
	defer w.Stop()
	if err := k.Revisions("default").Delete(t.Context(), "hello-00001", metav1.DeleteOptions{}); err != nil {
		t.Fatal(err)
	}
	next(t, w, "DELETED", func(event watch.Event) bool { return event.Type == watch.Deleted })
	if err := k.Revisions("default").Delete(t.Context(), "hello-00002", metav1.DeleteOptions{}); !apierrors.IsForbidden(err) {
		t.Errorf("the revision that has the traffic: %v", err)
	}
}

func must[T any](v T, err error) T {
	if err != nil {
		panic(err)
	}
	return v
}

// kn service update --traffic and --tag.
func TestKnTraffic(t *testing.T) {
	t.Parallel()
	q := newQuickstart(t, scalesSoon...)
	k, terminal := newKn(t, q), &terminal{t: t, dir: t.TempDir()}
	s := k.create("hello", "World")
	s.Spec.Template.Name = "hello-knative"
	s.Spec.Template.Spec.Containers[0].Env[0].Value = "Knative"
	s.Spec.Traffic = []servingv1.TrafficTarget{
		{RevisionName: "hello-00001", LatestRevision: ptr.To(false), Percent: ptr.To(int64(100)), Tag: "stable"},
		{LatestRevision: ptr.To(true), Percent: ptr.To(int64(0)), Tag: "candidate"},
	}
	if _, err := k.Services("default").Update(t.Context(), s, metav1.UpdateOptions{}); err != nil {
		t.Fatal(err)
	}
	s = k.waits("hello")
	if len(s.Status.Traffic) != 2 || s.Status.Traffic[1].RevisionName != "hello-knative" || s.Status.Traffic[1].URL == nil || s.Status.Traffic[1].Tag != "candidate" {
		t.Fatalf("%+v", s.Status.Traffic)
	}
	terminal.until("curl -sS "+q.url("default", "hello"), "^Hello World!$")
	terminal.until("curl -sS "+q.url("default", "candidate-hello"), "^Hello Knative!$")
	s.Spec.Traffic[0].Percent = ptr.To(int64(60))
	if _, err := k.Services("default").Update(t.Context(), s, metav1.UpdateOptions{}); !apierrors.IsInvalid(err) && !apierrors.IsBadRequest(err) {
		t.Errorf("60 %% in all: %v", err)
	}
}
