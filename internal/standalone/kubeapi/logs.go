package kubeapi

import (
	"errors"
	"net/http"
	"net/url"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/util/validation/field"
)

// logs serves the log of a container of a pod as it comes.
func (s *Server) logs(w http.ResponseWriter, r *http.Request, q request) error {
	if q.verb != "get" {
		return apierrors.NewMethodNotSupported(schema.GroupResource{Resource: "pods/log"}, q.verb)
	}
	o, err := logOptions(r.URL.Query(), time.Now())
	if err != nil {
		return err
	}
	log, err := s.config.Logs(r.Context(), q.namespace, q.name, o)
	if err != nil {
		return err
	}
	defer log.Close()
	w.Header().Set("Content-Type", "text/plain")
	w.WriteHeader(http.StatusOK)
	flush := w.(http.Flusher).Flush
	flush()
	buffer := make([]byte, 32<<10)
	for {
		n, err := log.Read(buffer)
		if _, failed := w.Write(buffer[:n]); err != nil || failed != nil {
			return nil // the log or the connection has ended, and a part of the answer is sent
		}
		flush()
	}
}

// logOptions returns the options of a query, those of a PodLogOptions; its error is a Status.
func logOptions(query url.Values, now time.Time) (LogOptions, error) {
	o := LogOptions{Container: query.Get("container"), Tail: -1}
	var tail, since, limit *int64
	var sinceTime *metav1.Time
	var errs []error
	parse := func(name string, f func(*[]string) error) {
		if values, ok := query[name]; ok {
			if err := f(&values); err != nil {
				errs = append(errs, errors.New(name+": "+err.Error()))
			}
		}
	}
	for name, into := range map[string]*bool{"follow": &o.Follow, "previous": &o.Previous, "timestamps": &o.Timestamps} {
		parse(name, func(v *[]string) error { return runtime.Convert_Slice_string_To_bool(v, into, nil) })
	}
	for name, into := range map[string]**int64{"tailLines": &tail, "sinceSeconds": &since, "limitBytes": &limit} {
		parse(name, func(v *[]string) error { return runtime.Convert_Slice_string_To_Pointer_int64(v, into, nil) })
	}
	parse("sinceTime", func(v *[]string) error { return metav1.Convert_Slice_string_To_Pointer_v1_Time(v, &sinceTime, nil) })
	if err := errors.Join(errs...); err != nil {
		return o, apierrors.NewBadRequest(err.Error())
	}

	var invalid field.ErrorList
	if tail != nil {
		if o.Tail = *tail; o.Tail < 0 {
			invalid = append(invalid, field.Invalid(field.NewPath("tailLines"), o.Tail, "must be greater than or equal to 0"))
		}
	}
	if limit != nil {
		if o.LimitBytes = *limit; o.LimitBytes < 1 {
			invalid = append(invalid, field.Invalid(field.NewPath("limitBytes"), o.LimitBytes, "must be greater than 0"))
		}
	}
	switch {
	case since != nil && sinceTime != nil:
		invalid = append(invalid, field.Forbidden(field.NewPath(""), "at most one of `sinceTime` or `sinceSeconds` may be specified"))
	case since != nil:
		if o.Since = *since; o.Since < 1 {
			invalid = append(invalid, field.Invalid(field.NewPath("sinceSeconds"), o.Since, "must be greater than 0"))
		}
	case sinceTime != nil:
		o.Since = max(1, int64(now.Sub(sinceTime.Time)/time.Second)+1)
	}
	if len(invalid) > 0 {
		return o, apierrors.NewInvalid(schema.GroupKind{Kind: "PodLogOptions"}, "", invalid)
	}
	return o, nil
}
