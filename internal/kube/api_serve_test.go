package kube

import (
	"encoding/json"
	"errors"
	"io"
	"net"
	"net/http"
	"strconv"
	"strings"
	"syscall"

	authorizationv1 "k8s.io/api/authorization/v1"
	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/fields"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/runtime/serializer"
	"k8s.io/apimachinery/pkg/runtime/serializer/streaming"
	"k8s.io/apimachinery/pkg/watch"
	restwatch "k8s.io/client-go/rest/watch"
)

func (a *api) serve(w http.ResponseWriter, r *http.Request) {
	if strings.HasSuffix(r.URL.Path, "/selfsubjectaccessreviews") {
		a.review(w, r)
		return
	}
	s := selection{resource: r.URL.Path[strings.LastIndex(r.URL.Path, "/")+1:]}
	if _, rest, ok := strings.Cut(r.URL.Path, "/namespaces/"); ok {
		s.namespace, _, _ = strings.Cut(rest, "/")
	}
	q := r.URL.Query()
	var err, err2 error
	s.labels, err = labels.Parse(q.Get("labelSelector"))
	s.fields, err2 = fields.ParseSelector(q.Get("fieldSelector"))
	if err != nil || err2 != nil {
		http.Error(w, "bad selector", http.StatusBadRequest)
		return
	}
	verb := "list"
	if q.Get("watch") == "true" {
		verb = "watch"
	}
	a.mu.Lock()
	a.requests[verb+" "+s.resource]++
	denied, plain := a.denied[s.resource], a.plain
	a.mu.Unlock()
	initial := q.Get("sendInitialEvents") == "true"
	c := codecFor(s.resource, r.Header.Get("Accept"))
	switch {
	case denied:
		c.fail(w, apierrors.NewForbidden(schema.GroupResource{Resource: s.resource}, "", nil))
	case verb == "list":
		a.list(w, s, c)
	case initial && plain:
		c.fail(w, apierrors.NewBadRequest("sendInitialEvents is not supported"))
	default:
		a.watch(w, r, s, c, initial)
	}
}

func (a *api) list(w http.ResponseWriter, s selection, c codec) {
	a.mu.Lock()
	all, version := a.selectedLocked(s)
	a.mu.Unlock()
	list := withKind(listOf(s.resource))
	objs := make([]runtime.Object, len(all))
	for i, o := range all {
		objs[i] = o
	}
	if err := meta.SetList(list, objs); err != nil {
		a.t.Error(err)
	}
	m, _ := meta.ListAccessor(list)
	m.SetResourceVersion(strconv.Itoa(version))
	w.Header().Set("Content-Type", c.mediaType)
	a.check(c.encode(list, w))
}

// check fails the test unless the other end has gone.
func (a *api) check(err error) {
	if err != nil && !errors.Is(err, net.ErrClosed) && !errors.Is(err, syscall.EPIPE) && !errors.Is(err, syscall.ECONNRESET) {
		a.t.Errorf("API server: %v", err)
	}
}

func (a *api) watch(w http.ResponseWriter, r *http.Request, s selection, c codec, initial bool) {
	from, _ := strconv.Atoi(r.URL.Query().Get("resourceVersion"))
	a.mu.Lock()
	if from != 0 && from < a.oldest && !initial {
		a.mu.Unlock()
		c.fail(w, apierrors.NewResourceExpired("too old resource version"))
		return
	}
	epoch := a.epoch
	var first []watch.Event
	if initial {
		all, version := a.selectedLocked(s)
		for _, o := range all {
			first = append(first, watch.Event{Type: watch.Added, Object: o})
		}
		first = append(first, watch.Event{Type: watch.Bookmark, Object: bookmarkOf(s.resource, version)})
		from = version
	}
	a.mu.Unlock()

	w.Header().Set("Content-Type", c.streamType)
	w.WriteHeader(http.StatusOK)
	send := c.stream(w)
	for _, e := range first {
		a.check(send(&e))
	}
	stop := make(chan struct{})
	defer close(stop)
	go func() { // wakes the loop below when the client goes
		select {
		case <-r.Context().Done():
			a.change(func() {})
		case <-stop:
		}
	}()
	a.follow(r, s, send, epoch, from)
}

func (a *api) follow(r *http.Request, s selection, send func(*watch.Event) error, epoch, from int) {
	a.mu.Lock()
	defer a.mu.Unlock()
	for r.Context().Err() == nil && a.epoch == epoch {
		var due []watch.Event
		for _, e := range a.events {
			if e.version <= from {
				continue
			}
			if seen, ok := s.seen(e); ok {
				due = append(due, seen)
			}
			from = e.version
		}
		if len(due) == 0 {
			a.moved.Wait()
			continue
		}
		a.mu.Unlock()
		for i := range due {
			a.check(send(&due[i]))
		}
		a.mu.Lock()
	}
}

// review says that what isn't denied is allowed.
func (a *api) review(w http.ResponseWriter, r *http.Request) {
	body, _ := io.ReadAll(r.Body)
	c := codecFor("selfsubjectaccessreviews", r.Header.Get("Accept"))
	if a.change(func() { a.requests["review"]++ }); a.noReviews {
		c.fail(w, apierrors.NewForbidden(schema.GroupResource{Resource: "selfsubjectaccessreviews"}, "", nil))
		return
	}
	obj, err := runtime.Decode(apiCodecs.UniversalDeserializer(), body)
	if err != nil {
		a.t.Errorf("review: %v", err)
		return
	}
	review := obj.(*authorizationv1.SelfSubjectAccessReview)
	a.mu.Lock()
	review.Status.Allowed = !a.denied[review.Spec.ResourceAttributes.Resource]
	a.mu.Unlock()
	w.Header().Set("Content-Type", c.mediaType)
	w.WriteHeader(http.StatusCreated)
	a.check(c.encode(withKind(review), w))
}

func listOf(resource string) runtime.Object {
	switch resource {
	case "services":
		return &corev1.ServiceList{}
	case "endpoints":
		return &coreEndpointsList{}
	case "endpointslices":
		return &discoveryv1.EndpointSliceList{}
	case "configmaps":
		return &corev1.ConfigMapList{}
	case "secrets":
		return &corev1.SecretList{}
	}
	l := &unstructured.UnstructuredList{}
	l.SetGroupVersionKind(revisionsGV.WithKind("RevisionList"))
	return l
}

// bookmarkOf ends the list that a watch begins with.
func bookmarkOf(resource string, version int) runtime.Object {
	var o object
	switch resource {
	case "services":
		o = &corev1.Service{}
	case "endpoints":
		o = &coreEndpoints{}
	case "endpointslices":
		o = &discoveryv1.EndpointSlice{}
	case "configmaps":
		o = &corev1.ConfigMap{}
	case "secrets":
		o = &corev1.Secret{}
	default:
		u := &unstructured.Unstructured{}
		u.SetGroupVersionKind(revisionsGV.WithKind("Revision"))
		o = u
	}
	o.SetResourceVersion(strconv.Itoa(version))
	o.SetAnnotations(map[string]string{metav1.InitialEventsAnnotationKey: "true"})
	return withKind(o)
}

// withKind says in an object what it is, which Go's types don't do by themselves.
func withKind[T runtime.Object](o T) T {
	if gvks, _, err := apiScheme.ObjectKinds(o); err == nil {
		o.GetObjectKind().SetGroupVersionKind(gvks[0])
	}
	return o
}

// codec is how objects of a resource go over the wire.
type codec struct {
	mediaType, streamType string
	info                  runtime.SerializerInfo
}

var (
	apiScheme = newScheme()
	apiCodecs = serializer.NewCodecFactory(apiScheme)
)

// codecFor is protobuf if that is accepted, but for custom resources, as in a real API server.
func codecFor(resource, accept string) codec {
	c := codec{mediaType: runtime.ContentTypeJSON}
	if strings.Contains(accept, runtime.ContentTypeProtobuf) && resource != "revisions" {
		c.mediaType = runtime.ContentTypeProtobuf
	}
	c.streamType = c.mediaType
	if c.mediaType == runtime.ContentTypeProtobuf {
		c.streamType += ";stream=watch"
	}
	c.info, _ = runtime.SerializerInfoForMediaType(apiCodecs.SupportedMediaTypes(), c.mediaType)
	return c
}

func (c codec) encode(o runtime.Object, w io.Writer) error {
	switch o := o.(type) {
	case *unstructured.Unstructured:
		return json.NewEncoder(w).Encode(o.Object)
	case *unstructured.UnstructuredList:
		return json.NewEncoder(w).Encode(o.UnstructuredContent())
	}
	return c.info.Serializer.Encode(o, w)
}

// Identifier implements runtime.Encoder.
func (c codec) Identifier() runtime.Identifier { return "test" }

// Encode implements runtime.Encoder.
func (c codec) Encode(o runtime.Object, w io.Writer) error { return c.encode(o, w) }

func (c codec) fail(w http.ResponseWriter, err *apierrors.StatusError) {
	status := err.Status()
	w.Header().Set("Content-Type", runtime.ContentTypeJSON)
	w.WriteHeader(int(status.Code))
	status.APIVersion, status.Kind = "v1", "Status"
	_ = json.NewEncoder(w).Encode(status)
}

// stream returns how events are sent.
func (c codec) stream(w http.ResponseWriter) func(*watch.Event) error {
	flush := w.(http.Flusher)
	flush.Flush()
	s := c.info.StreamSerializer
	frames := streaming.NewEncoder(s.Framer.NewFrameWriter(w), apiCodecs.EncoderForVersion(s.Serializer, corev1.SchemeGroupVersion))
	events := restwatch.NewEncoder(frames, c)
	return func(e *watch.Event) error {
		defer flush.Flush()
		return events.Encode(e)
	}
}
