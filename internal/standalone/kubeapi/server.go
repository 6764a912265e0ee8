// Package kubeapi serves a Kubernetes-shaped API over HTTPS on loopback, for kubectl, kn and client-go.
//
//	kubectl ──► TLS ─► token, Host ─► discovery, OpenAPI
//	                                ├► read: get, list, watch, tables, logs ◄── store
//	                                └► write: decode, patch, Admit ─► store ─► Commit      (on Config.Do's goroutine)
//
// It knows nothing of Knative: which resources there are, their columns, schemas and rules, is Config.Resources.
package kubeapi

import (
	"context"
	"io"
	"net"

	"go.uber.org/zap"
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

// Server serves the API. New makes one; Serve serves.
type Server struct {
	config    Config
	resources map[schema.GroupVersionResource]*Resource
}

// New returns a Server with a new certificate for the host of l.
func New(c Config) (*Server, error) { panic("later") }

// Serve serves on l until Close. It takes over l.
func (s *Server) Serve(l net.Listener) error { panic("later") }

// Close ends all connections, watches included, and waits for their goroutines.
func (s *Server) Close() error { panic("later") }

// Kubeconfig returns a kubeconfig (YAML) for the API at addr, with its authority and the token.
func (s *Server) Kubeconfig(addr string) []byte { panic("later") }
