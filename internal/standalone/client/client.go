// Package client reads the API of a running quickstart.
//
//	kubeconfig ──► Open ──► Client ──► List, Watch, Log ──► API
//
// It knows the kubeconfigs that the quickstart writes, and what its subcommands need. It is no general client: for that there are
// kubectl and client-go.
//
// # Concurrency
//
// A Client is safe for concurrent use.
package client

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/util/yaml"
)

// ErrNone means that no quickstart runs.
var ErrNone = errors.New("no quickstart runs")

// Client is a client. Make one with Open.
type Client struct {
	file, server, token string
	http                http.Client
}

// config is the part of a kubeconfig that the quickstart writes.
type config struct {
	Clusters []struct {
		Cluster struct {
			Server    string `json:"server"`
			Authority []byte `json:"certificate-authority-data"`
		} `json:"cluster"`
	} `json:"clusters"`
	Users []struct {
		User struct {
			Token string `json:"token"`
		} `json:"user"`
	} `json:"users"`
}

// Open returns a Client for the kubeconfig that a quickstart has written. It makes no request. Its error is ErrNone if there is no
// such file.
func Open(file string) (*Client, error) {
	data, err := os.ReadFile(file)
	if errors.Is(err, os.ErrNotExist) {
		return nil, fmt.Errorf("%w: %w; start one, or give the -kubeconfig or -state of the one that runs", ErrNone, err)
	}
	if err != nil {
		return nil, err
	}
	var c config
	if err := yaml.Unmarshal(data, &c); err != nil {
		return nil, fmt.Errorf("%s: %w", file, err)
	}
	if len(c.Clusters) != 1 || len(c.Users) != 1 {
		return nil, fmt.Errorf("%s is no kubeconfig of the quickstart: it should have one cluster and one user", file)
	}
	roots := x509.NewCertPool()
	if !roots.AppendCertsFromPEM(c.Clusters[0].Cluster.Authority) {
		return nil, fmt.Errorf("%s is no kubeconfig of the quickstart: it has no certificate authority", file)
	}
	transport := &http.Transport{TLSClientConfig: &tls.Config{RootCAs: roots, MinVersion: tls.VersionTLS13}, ForceAttemptHTTP2: true}
	return &Client{file: file, server: c.Clusters[0].Cluster.Server, token: c.Users[0].User.Token, http: http.Client{Transport: transport}}, nil
}

// Close closes idle connections.
func (c *Client) Close() { c.http.CloseIdleConnections() }

// get requests a path of the API. The error is ErrNone if nothing listens, or has the message of the API.
func (c *Client) get(ctx context.Context, path string, query url.Values) (io.ReadCloser, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, c.server+path+"?"+query.Encode(), nil)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", c.file, err)
	}
	req.Header.Set("Authorization", "Bearer "+c.token)
	resp, err := c.http.Do(req)
	switch {
	case ctx.Err() != nil:
		return nil, context.Cause(ctx)
	case err != nil:
		if e, ok := errors.AsType[*url.Error](err); ok {
			err = e.Err
		}
		return nil, fmt.Errorf("%w that has written %s: %w", ErrNone, c.file, err)
	case resp.StatusCode == http.StatusOK:
		return resp.Body, nil
	}
	defer resp.Body.Close()
	var s metav1.Status
	if err := json.NewDecoder(io.LimitReader(resp.Body, 1<<20)).Decode(&s); err != nil || s.Message == "" {
		s.Message = resp.Status
	}
	return nil, fmt.Errorf("%s: %s", c.server, s.Message)
}

// Exists returns an error with the API's message if there is no object at path.
func (c *Client) Exists(ctx context.Context, path string) error {
	body, err := c.get(ctx, path, nil)
	if err != nil {
		return err
	}
	return body.Close()
}

// List returns the objects of a collection, such as /api/v1/pods, and its version for Watch.
func (c *Client) List(ctx context.Context, path, selector string) (items []unstructured.Unstructured, version string, err error) {
	body, err := c.get(ctx, path, url.Values{"labelSelector": {selector}})
	if err != nil {
		return nil, "", err
	}
	defer body.Close()
	var list unstructured.UnstructuredList
	if err := json.NewDecoder(body).Decode(&list); err != nil {
		return nil, "", fmt.Errorf("%s%s: %w", c.server, path, err)
	}
	return list.Items, list.GetResourceVersion(), nil
}

// Watch calls changed for each object of a collection that was added or has changed since version, one at a time. It returns nil
// when the API ends the watch.
func (c *Client) Watch(ctx context.Context, path, selector, version string, changed func(*unstructured.Unstructured)) error {
	body, err := c.get(ctx, path, url.Values{"labelSelector": {selector}, "resourceVersion": {version}, "watch": {"true"}})
	if err != nil {
		return err
	}
	defer body.Close()
	for events := json.NewDecoder(body); ; {
		var e struct {
			Type   string                    `json:"type"`
			Object unstructured.Unstructured `json:"object"`
		}
		switch err := events.Decode(&e); {
		case ctx.Err() != nil:
			return context.Cause(ctx)
		case err != nil:
			return nil // a connection may end at any time
		case e.Type == "ADDED", e.Type == "MODIFIED":
			changed(&e.Object)
		}
	}
}

// Log opens the log of the app in a pod. With follow it ends with the pod; tail limits the lines of before, unless it is negative.
func (c *Client) Log(ctx context.Context, namespace, pod string, follow bool, tail int) (io.ReadCloser, error) {
	query := url.Values{"follow": {fmt.Sprint(follow)}}
	if tail >= 0 {
		query.Set("tailLines", fmt.Sprint(tail))
	}
	return c.get(ctx, "/api/v1/namespaces/"+namespace+"/pods/"+pod+"/log", query)
}
