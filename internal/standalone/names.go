package standalone

import (
	"cmp"
	"context"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"os"
	"slices"
	"time"

	"github.com/sluice-proxy/sluice/internal/knative"
	"github.com/sluice-proxy/sluice/internal/standalone/forward"
	"github.com/sluice-proxy/sluice/internal/standalone/manifest"
	"github.com/sluice-proxy/sluice/internal/standalone/player"
)

// setNames gives i the proxy for the cluster's names if r is to use one, and what its sink needs of it.
func (s *Server) setNames(i *instance, r *revision) error {
	named := s.config.ClusterNames || r.options.ClusterNames || len(r.Command) > 0 && r.Command[0] == player.Name
	if !named && !sends(&r.Template) {
		return nil
	}
	if err := s.startProxy(); err != nil {
		return err
	}
	if named {
		i.proxy = s.forward.URL()
	}
	i.sink = func(url string) string { return s.forward.Direct(url) }
	return nil
}

// sends reports whether a container has a sink in its environment.
func sends(t *manifest.Template) bool {
	return slices.ContainsFunc(t.All(), func(c *manifest.Container) bool {
		return slices.ContainsFunc(c.Env, func(v manifest.EnvVar) bool { return v.Name == knative.EnvSink })
	})
}

// startProxy starts the proxy for the cluster's names, once.
func (s *Server) startProxy() (err error) {
	if s.forward != nil {
		return nil
	}
	if s.forward, err = forward.New(forward.Config{Ingress: s.config.reachable(), Serves: s.ingress.Serves}); err != nil {
		return err
	}
	s.tasks.Go(func() { _ = s.forward.Serve() }) // its listener fails only when it is closed
	return nil
}

// newSender returns the client for events of this process. It reaches the names of a cluster, like an app with the proxy.
func (s *Server) newSender() *http.Client {
	dialer := &net.Dialer{Timeout: 10 * time.Second}
	return &http.Client{Transport: &http.Transport{
		Proxy: func(r *http.Request) (*url.URL, error) {
			if s.ingress.Serves(r.URL.Host) {
				return nil, nil
			}
			return http.ProxyFromEnvironment(r)
		},
		DialContext: func(ctx context.Context, network, address string) (net.Conn, error) {
			if s.ingress.Serves(address) {
				address = s.config.reachable()
			}
			return dialer.DialContext(ctx, network, address)
		},
		MaxIdleConns: 1024, MaxIdleConnsPerHost: 128, // deliveries of a trigger at a time
		IdleConnTimeout:    30 * time.Second,
		DisableCompression: true,
	}}
}

// endProxy ends the proxy for the cluster's names.
func (s *Server) endProxy() {
	if s.forward != nil {
		_ = s.forward.Close()
	}
}

// reachable returns an address at which this machine reaches the ingress.
func (c Config) reachable() string {
	to, err := netip.ParseAddrPort(c.addr())
	if err == nil && to.Addr().IsUnspecified() {
		_, port, _ := net.SplitHostPort(c.addr())
		return net.JoinHostPort(DefaultHost, port)
	}
	return c.addr()
}

// setProxy sets the variables with which clients use the proxy for the cluster's names, unless the container has such variables
// of its own. Programs read them in capitals or not: curl has http_proxy only, since a server's CGI program could get HTTP_PROXY
// from a client (https://curl.se/docs/manpage.html).
func (i *instance) setProxy(vars map[string]string) {
	_, upper := vars["HTTP_PROXY"]
	_, lower := vars["http_proxy"]
	if i.proxy == "" || upper || lower {
		return
	}
	vars["HTTP_PROXY"], vars["http_proxy"] = i.proxy, i.proxy
	direct := "localhost,127.0.0.1,::1"
	if inherited := cmp.Or(os.Getenv("no_proxy"), os.Getenv("NO_PROXY")); inherited != "" { // for the user's HTTPS_PROXY
		direct = inherited + "," + direct
	}
	for _, name := range []string{"NO_PROXY", "no_proxy"} {
		if _, own := vars[name]; !own {
			vars[name] = direct
		}
	}
}
