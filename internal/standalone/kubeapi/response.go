package kubeapi

import "net/http"

// response is a response whose status is known.
type response struct {
	http.ResponseWriter
	code int // 0: there is none yet
}

// WriteHeader implements [http.ResponseWriter].
func (w *response) WriteHeader(code int) {
	if w.code == 0 {
		w.code = code
	}
	w.ResponseWriter.WriteHeader(code)
}

// Write implements [http.ResponseWriter].
func (w *response) Write(p []byte) (int, error) {
	if w.code == 0 {
		w.code = http.StatusOK
	}
	return w.ResponseWriter.Write(p)
}

// Flush implements [http.Flusher], which is there with HTTP/1.1 and HTTP/2.
func (w *response) Flush() {
	if w.code == 0 {
		w.code = http.StatusOK
	}
	w.ResponseWriter.(http.Flusher).Flush()
}

// Unwrap is for [http.ResponseController].
func (w *response) Unwrap() http.ResponseWriter { return w.ResponseWriter }
