package cluster_test

import (
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"time"
)

// headers names the revision of a request for an activator, as an ingress does.
func (r *revision) headers(h http.Header) {
	h.Set("Knative-Serving-Namespace", r.namespace)
	h.Set("Knative-Serving-Revision", r.name)
}

// transport connects to the revision's public Service for any URL: to the activator in Proxy mode, to a pod in Serve mode. For
// each connection an endpoint of the Service is chosen again.
func (r *revision) transport() *http.Transport {
	return &http.Transport{
		DialContext: func(ctx context.Context, network, _ string) (net.Conn, error) {
			return (&net.Dialer{Timeout: 5 * time.Second}).DialContext(ctx, network, r.address)
		},
		DisableCompression: true,
	}
}

// toRevision adds the headers of a revision to every request.
type toRevision struct {
	*revision
	next http.RoundTripper
}

func (t toRevision) RoundTrip(req *http.Request) (*http.Response, error) {
	req = req.Clone(req.Context())
	t.headers(req.Header)
	return t.next.RoundTrip(req)
}

// client has its own connections; the caller closes them with CloseIdleConnections.
func (r *revision) client() *http.Client {
	return &http.Client{Transport: toRevision{r, r.transport()}}
}

// CloseIdleConnections is called by http.Client.CloseIdleConnections.
func (t toRevision) CloseIdleConnections() {
	if c, ok := t.next.(interface{ CloseIdleConnections() }); ok {
		c.CloseIdleConnections()
	}
}

// url names the revision as a user would.
func (r *revision) url(path string) string {
	return fmt.Sprintf("http://%s.%s.example.com%s", strings.TrimSuffix(r.name, "-00001"), r.namespace, path)
}

// answer is a response that was read to its end.
type answer struct {
	status    int
	header    http.Header
	body      string
	firstByte time.Time
	took      time.Duration
}

// get sends a request on its own connection. It returns a truncated answer along with the error.
func (r *revision) get(ctx context.Context, path string) (*answer, error) {
	return r.send(ctx, http.MethodGet, path, nil)
}

func (r *revision) send(ctx context.Context, method, path string, body io.Reader) (*answer, error) {
	c := r.client()
	defer c.CloseIdleConnections()
	return send(ctx, c, method, r.url(path), body)
}

func send(ctx context.Context, c *http.Client, method, url string, body io.Reader) (*answer, error) {
	begun := time.Now()
	req, err := http.NewRequestWithContext(ctx, method, url, body)
	if err != nil {
		return nil, err
	}
	resp, err := c.Do(req)
	if err != nil {
		return nil, err
	}
	a := &answer{status: resp.StatusCode, header: resp.Header, firstByte: time.Now()}
	text, err := io.ReadAll(resp.Body)
	_ = resp.Body.Close()
	a.body, a.took = string(text), time.Since(begun)
	return a, err
}

// ok gets path and returns an error unless the status is 200.
func (r *revision) ok(ctx context.Context, path string) (*answer, error) {
	a, err := r.get(ctx, path)
	if err == nil {
		err = a.want(http.StatusOK)
	}
	return a, err
}

func (a *answer) want(status int) error {
	if a.status != status {
		return fmt.Errorf("answered %d %q after %v, not %d", a.status, shorten(a.body), a.took.Round(time.Millisecond), status)
	}
	return nil
}

func shorten(s string) string {
	if s = strings.TrimSpace(s); len(s) > 160 {
		return s[:160] + "…"
	}
	return s
}
