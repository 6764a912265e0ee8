package kubeapi

import (
	"crypto/subtle"
	"errors"
	"fmt"
	"net"
	"net/http"
	"strconv"
	"strings"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/runtime/schema"
)

// local returns an error unless r comes from a program on this machine that asked for it by a name of loopback.
//
// A page in a browser has no token, but others guard against it, too: after DNS rebinding its requests have the Host of
// the page, and those to another origin have an Origin.
func local(r *http.Request) error {
	if origin, ok := r.Header["Origin"]; ok {
		return forbidden(fmt.Errorf("the request comes from a page in a browser, of origin %q: they may not use this API", strings.Join(origin, ", ")))
	}
	host, port, err := net.SplitHostPort(r.Host)
	if err != nil {
		host, port = strings.Trim(r.Host, "[]"), "443"
	}
	ip := net.ParseIP(host)
	address, _ := r.Context().Value(http.LocalAddrContextKey).(net.Addr)
	tcp, ok := address.(*net.TCPAddr)
	if !ok || port != strconv.Itoa(tcp.Port) || !strings.EqualFold(host, "localhost") && (ip == nil || !ip.IsLoopback()) {
		return forbidden(fmt.Errorf("the request is for host %q: it has to be for localhost or a loopback address, with the API's port", r.Host))
	}
	return nil
}

// forbidden returns a Status 403.
func forbidden(err error) error {
	return apierrors.NewForbidden(schema.GroupResource{}, "", err)
}

var errNoToken = errors.New("this API wants the token of the kubeconfig that the quickstart wrote: export KUBECONFIG=FILE, as it printed at its start")

// authenticate returns an error unless r has the token.
func (s *Server) authenticate(r *http.Request) error {
	scheme, token, _ := strings.Cut(r.Header.Get("Authorization"), " ")
	if !strings.EqualFold(scheme, "Bearer") || subtle.ConstantTimeCompare([]byte(strings.TrimSpace(token)), []byte(s.config.Token)) != 1 {
		return apierrors.NewUnauthorized(errNoToken.Error())
	}
	return nil
}
