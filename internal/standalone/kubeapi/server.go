// Package kubeapi serves a Kubernetes-shaped API over HTTPS on loopback, for kubectl, kn and client-go.
//
//	kubectl ──► TLS ─► token, Host ─► discovery, OpenAPI, metrics
//	                                ├► read: get, list, watch, tables, logs ◄── store
//	                                └► write: decode, patch, Admit ─► store ─► Commit      (on Config.Do's goroutine)
//
// It knows nothing of Knative: which resources there are, their columns, schemas and rules, is Config.Resources.
package kubeapi

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"sync"
	"time"

	"go.uber.org/zap"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/runtime/schema"

	"github.com/sluice-proxy/sluice/internal/standalone/kubeapi/store"
)

// Config of a Server.
type Config struct {
	Store     *store.Store
	Resources []Resource
	// Do runs f on the goroutine that may write to the Store and returns when f has; false: it has ended, and f has not run.
	Do func(f func()) bool
	// Logs returns the log of a container of a pod: a stream that ends when follow is false, the container is gone for good, or
	// ctx ends. An error is an apierrors.APIStatus, or internal.
	Logs func(ctx context.Context, namespace, pod string, o LogOptions) (io.ReadCloser, error)
	// Metrics serves /metrics. Nil: there are none.
	Metrics http.Handler
	// Version of the quickstart, for /version.
	Version string
	// Token is what clients have to present. Required.
	Token string
	Log   *zap.Logger
}

// LogOptions are those of kubectl logs.
type LogOptions struct {
	Container  string
	Follow     bool
	Previous   bool
	Timestamps bool
	Tail       int64 // lines; negative: all
	Since      int64 // seconds; 0: all
	LimitBytes int64 // 0: no limit
}

// Limits of connections and requests. That of bodies is the one of Kubernetes' API server.
const (
	maxBody           = 3 << 20
	maxHeader         = 64 << 10
	readHeaderTimeout = 10 * time.Second
	idleTimeout       = 2 * time.Minute
	refusedTimeout    = time.Second // for the body of a client without the token
	// closeTimeout is how long Close waits for watches to end well, before it breaks their connections.
	closeTimeout = 250 * time.Millisecond
)

// Server serves the API. New makes one; Serve serves.
type Server struct {
	config    Config
	resources map[schema.GroupVersionResource]*Resource
	groups    []group
	openAPI   func() map[string][]byte // the documents by their paths
	authority []byte                   // PEM
	http      *http.Server
	cancel    context.CancelFunc // ends the contexts of all requests

	mu       sync.Mutex
	closed   bool           // no request begins
	requests sync.WaitGroup // those in progress; Add only with mu, and not when closed
}

// New returns a Server with a new certificate for loopback addresses. It fails if c has faults.
func New(c Config) (*Server, error) {
	if c.Token == "" {
		return nil, errors.New("kubeapi: Config.Token is empty: clients need one")
	}
	s := &Server{config: c, resources: map[schema.GroupVersionResource]*Resource{}}
	for i := range c.Resources {
		r := &c.Resources[i]
		if s.resources[r.GroupVersionResource] != nil {
			return nil, fmt.Errorf("kubeapi: Config.Resources has %v twice", r.GroupVersionResource)
		}
		if len(r.Writes) > 0 && r.Admit == nil {
			return nil, fmt.Errorf("kubeapi: %v has Writes and no Admit", r.GroupVersionResource)
		}
		s.resources[r.GroupVersionResource] = r
	}
	s.groups = groupsOf(withUnserved(c.Resources))
	s.openAPI = sync.OnceValue(s.openAPIDocuments)
	certificate, authority, err := newCertificate(time.Now())
	if err != nil {
		return nil, err
	}
	s.authority = authority
	errorLog, err := zap.NewStdLogAt(c.Log, zap.DebugLevel) // clients that don't trust the certificate, mostly
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithCancel(context.Background())
	s.cancel = cancel
	s.http = &http.Server{
		Handler:           s,
		TLSConfig:         &tls.Config{Certificates: []tls.Certificate{certificate}, MinVersion: tls.VersionTLS12},
		ReadHeaderTimeout: readHeaderTimeout,
		IdleTimeout:       idleTimeout,
		MaxHeaderBytes:    maxHeader,
		BaseContext:       func(net.Listener) context.Context { return ctx },
		ErrorLog:          errorLog,
	}
	return s, nil
}

// Serve serves on l, with HTTP/1.1 and HTTP/2, until Close. It takes over l. After Close it returns nil.
func (s *Server) Serve(l net.Listener) error {
	if err := s.http.ServeTLS(l, "", ""); !errors.Is(err, http.ErrServerClosed) {
		return err
	}
	return nil
}

// Close ends all connections, watches included, and waits for their goroutines.
func (s *Server) Close() error {
	s.mu.Lock()
	s.closed = true
	s.mu.Unlock()
	s.cancel()
	ctx, cancel := context.WithTimeout(context.Background(), closeTimeout)
	defer cancel()
	err := s.http.Shutdown(ctx)
	if errors.Is(err, context.DeadlineExceeded) {
		err = s.http.Close()
	}
	s.requests.Wait()
	return err
}

// begin reports whether a request may begin. If so, s.requests.Done has to follow.
func (s *Server) begin() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.closed {
		s.requests.Add(1)
	}
	return !s.closed
}

// ServeHTTP implements [http.Handler].
func (s *Server) ServeHTTP(rw http.ResponseWriter, r *http.Request) {
	w := &response{ResponseWriter: rw}
	if !s.begin() {
		writeStatus(w, r, apierrors.NewServiceUnavailable("the quickstart ends"))
		return
	}
	defer s.requests.Done()
	start := time.Now()
	defer func() {
		fault := recover()
		if fault != nil && fault != http.ErrAbortHandler {
			s.config.Log.Error("a request to the API panicked: please report it", zap.String("method", r.Method),
				zap.String("path", r.URL.Path), zap.Any("panic", fault), zap.Stack("stack"))
			if w.code == 0 {
				writeStatus(w, r, fmt.Errorf("%s %s panicked: %v", r.Method, r.URL.Path, fault))
				fault = nil
			}
		}
		s.config.Log.Debug("API request", zap.String("method", r.Method), zap.String("uri", r.URL.RequestURI()),
			zap.Int("status", w.code), zap.Duration("took", time.Since(start)))
		if fault != nil {
			panic(http.ErrAbortHandler) // the client must not take a part of an answer for the whole
		}
	}()
	w.Header().Set("Cache-Control", "no-cache, private")
	w.Header().Set("X-Content-Type-Options", "nosniff")
	r.Body = http.MaxBytesReader(rw, r.Body, maxBody)
	if err := s.route(w, r); err != nil {
		writeStatus(w, r, err)
	}
}

// route serves a request, or returns the error to answer with.
func (s *Server) route(w http.ResponseWriter, r *http.Request) error {
	refused := s.authenticate(r)
	if refused != nil {
		// Nobody without the token holds a connection by a body that doesn't come: net/http waits for it, before the answer if the
		// connection is kept, and after it in any case.
		w.Header().Set("Connection", "close")
		_ = http.NewResponseController(w).SetReadDeadline(time.Now().Add(refusedTimeout)) // both versions of HTTP have deadlines
	}
	if err := local(r); err != nil {
		return err
	}
	path := strings.TrimSuffix(r.URL.Path, "/")
	switch path {
	case "/healthz", "/livez", "/readyz":
		_, _ = w.Write([]byte("ok"))
		return nil
	}
	if refused != nil {
		return refused
	}
	if path == "/metrics" && s.config.Metrics != nil && r.Method == http.MethodGet {
		s.config.Metrics.ServeHTTP(w, r)
		return nil
	}
	for _, document := range []func(w http.ResponseWriter, r *http.Request, path string) (bool, error){s.serveDiscovery, s.serveOpenAPI} {
		if found, err := document(w, r, path); found || err != nil {
			return err
		}
	}
	q, err := s.parse(r)
	if err != nil {
		return err
	}
	s.serve(w, r, q)
	return nil
}
