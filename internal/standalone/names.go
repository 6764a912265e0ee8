package standalone

import (
	"cmp"
	"net"
	"net/netip"
	"os"

	"github.com/sluice-proxy/sluice/internal/standalone/forward"
)

// proxyFor returns the URL of the proxy for the cluster's names if r is to use one, else "". The first call starts the proxy.
func (s *Server) proxyFor(r *revision) (string, error) {
	if !s.config.ClusterNames && !r.options.ClusterNames {
		return "", nil
	}
	if s.forward == nil {
		var err error
		if s.forward, err = forward.New(forward.Config{Ingress: s.config.reachable(), Serves: s.ingress.Serves}); err != nil {
			return "", err
		}
		s.tasks.Go(func() { _ = s.forward.Serve() }) // its listener fails only when it is closed
	}
	return s.forward.URL(), nil
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
