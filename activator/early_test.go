package activator

import (
	"net/http"
	"net/http/httptest"
	"testing"

	"github.com/sluice-proxy/sluice/proxy/proxytest"
)

// TestEarlyRequestAnsweredByAnEmbedder: a policy around the activator's may answer a request that waits for the source, which leaves
// nothing of the wait behind.
func TestEarlyRequestAnsweredByAnEmbedder(t *testing.T) {
	a := unrun(t, Config{MaxWaiting: 10, WrapPolicy: proxytest.Impatient})
	defer a.Close()
	for range 20 {
		w, r := httptest.NewRecorder(), httptest.NewRequest("GET", "http://hello-00001.default.svc.cluster.local/", nil)
		a.Handler().ServeHTTP(w, r)
		if w.Code != http.StatusTeapot {
			t.Errorf("%d, want the embedder's answer", w.Code)
		}
	}
	if waiting, held, refused := a.gate.Waiting(), a.early.Used(), a.early.Refused(); waiting != 0 || held != 0 || refused != 0 {
		t.Errorf("%d wait, %d are counted, %d were refused", waiting, held, refused)
	}
}
