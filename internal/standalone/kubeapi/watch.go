package kubeapi

import (
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"net/http"
	"strconv"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/watch"
)

const (
	// minWatch is the shortest time that a watch lasts whose client names none, and half of the longest: the default of an API
	// server's -min-request-timeout.
	minWatch = 30 * time.Minute
	// bookmarkInterval is that of Kubernetes' watch cache.
	bookmarkInterval = time.Minute
)

// watch serves the changes of the selected objects, as "Efficient detection of changes" and "Streaming lists" in Kubernetes'
// API concepts say.
func (s *Server) watch(w http.ResponseWriter, r *http.Request, q request) error {
	f, err := negotiate(r)
	if err != nil {
		return err
	}
	o, err := listOptions(r)
	if err != nil {
		return err
	}
	selected, err := newSelection(q, o)
	if err != nil {
		return err
	}
	// The past that is gone is no error of the request but of the stream, as of a cluster: some clients retry the former forever.
	version, err := s.versionOf(o.ResourceVersion)
	future := apierrors.HasStatusCause(err, metav1.CauseTypeResourceVersionTooLarge)
	if err != nil && !future {
		return err
	}

	lasts := minWatch + rand.N(minWatch)
	if o.TimeoutSeconds != nil && *o.TimeoutSeconds > 0 {
		lasts = time.Duration(min(*o.TimeoutSeconds, int64(2*minWatch/time.Second))) * time.Second
	}
	end := time.NewTimer(lasts)
	defer end.Stop()

	// The state from which the changes count is that before the answer begins: clients take its head for the beginning of the watch.
	initial := o.SendInitialEvents != nil && *o.SendInitialEvents
	var items []Object
	if initial || o.SendInitialEvents == nil && version == 0 {
		items, version = s.selected(selected)
	} else if version == 0 {
		version = s.config.Store.Version()
	}

	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(http.StatusOK)
	stream := &watchStream{encoder: json.NewEncoder(w), format: f, resource: q.resource, flush: w.(http.Flusher).Flush}
	stream.flush()
	if future {
		stream.expired(o.ResourceVersion)
		return nil
	}
	for _, object := range items {
		stream.send(watch.Added, object)
	}
	if initial && o.AllowWatchBookmarks {
		stream.bookmark(version, map[string]any{metav1.InitialEventsAnnotationKey: "true"})
	}

	bookmarks := time.NewTicker(bookmarkInterval)
	defer bookmarks.Stop()
	for stream.err == nil {
		changes, now, next, ok := s.config.Store.Since(q.resource.GroupResource(), version)
		if !ok {
			stream.expired(strconv.FormatUint(version, 10))
			return nil
		}
		version = now
		for _, c := range changes {
			switch before, after := selected.matches(c.Old), selected.matches(c.New); {
			case after && before:
				stream.send(watch.Modified, c.New)
			case after:
				stream.send(watch.Added, c.New)
			case before:
				stream.send(watch.Deleted, c.Last())
			}
		}
		stream.flush()
		select {
		case <-next:
		case <-bookmarks.C:
			if o.AllowWatchBookmarks {
				stream.bookmark(version, nil)
			}
		case <-end.C:
			if o.AllowWatchBookmarks {
				stream.bookmark(version, nil)
			}
			return nil
		case <-r.Context().Done():
			return nil
		}
	}
	return nil
}

// watchStream writes the events of a watch. After an error, that of a connection which has ended, it writes no more.
type watchStream struct {
	encoder  *json.Encoder
	flush    func()
	format   *format
	resource *Resource
	err      error
}

// event is metav1.WatchEvent with an object that isn't encoded yet.
type event struct {
	Type   watch.EventType `json:"type"`
	Object any             `json:"object"`
}

func (s *watchStream) send(t watch.EventType, o Object) {
	s.write(event{t, s.format.event(s.resource, o)})
}

func (s *watchStream) write(e event) {
	if s.err == nil {
		s.err = s.encoder.Encode(e)
	}
}

// bookmark tells the client that it knows all changes up to version.
func (s *watchStream) bookmark(version uint64, annotations map[string]any) {
	metadata := map[string]any{"resourceVersion": strconv.FormatUint(version, 10)}
	if annotations != nil {
		metadata["annotations"] = annotations
	}
	s.send(watch.Bookmark, &unstructured.Unstructured{Object: map[string]any{
		"apiVersion": s.resource.GroupVersion().String(), "kind": s.resource.Kind, "metadata": metadata,
	}})
	s.flush()
}

// expired tells the client to list again: changes after version are no longer known.
func (s *watchStream) expired(version string) {
	status := apierrors.NewResourceExpired(fmt.Sprintf("too old resource version: %s", version)).Status()
	status.Kind, status.APIVersion = "Status", "v1"
	s.write(event{watch.Error, status})
	s.flush()
}
