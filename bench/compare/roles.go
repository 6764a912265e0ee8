package main

import (
	"context"
	"fmt"
	"net"
	"net/http"
	"net/http/httputil"
	"net/url"
	"os"

	"github.com/sluice-proxy/sluice/bench/internal/load"
	"github.com/sluice-proxy/sluice/bench/internal/origin"
)

// roleVariable makes this program run as one of the programs that the comparison starts.
const roleVariable = "SLUICE_COMPARE_ROLE"

// play runs the app, or a reverse proxy, until ctx ends.
func play(ctx context.Context, role string) error {
	var h http.Handler
	switch role {
	case "origin":
		h = origin.New()
	case "reverseproxy":
		h = reverseProxy(os.Getenv("UPSTREAM"), os.Getenv("UPSTREAM_PROTOCOL") == string(load.HTTP2))
	default:
		return fmt.Errorf("%s=%s is no role", roleVariable, role)
	}
	l, err := net.Listen("tcp", os.Getenv("LISTEN"))
	if err != nil {
		return err
	}
	return origin.Serve(ctx, l, h)
}

// reverseProxy forwards requests in the protocol of the client, or if the app doesn't support HTTP/2 all as HTTP/1.1.
func reverseProxy(upstream string, h2 bool) http.Handler {
	target := &url.URL{Scheme: "http", Host: upstream}
	to := func(h2c bool) *httputil.ReverseProxy {
		tr := &http.Transport{MaxIdleConnsPerHost: 1000, DisableCompression: true, Protocols: new(http.Protocols)}
		tr.Protocols.SetHTTP1(!h2c)
		tr.Protocols.SetUnencryptedHTTP2(h2c)
		return &httputil.ReverseProxy{Transport: tr, Rewrite: func(r *httputil.ProxyRequest) {
			r.SetURL(target)
			r.Out.Host = r.In.Host
			r.SetXForwarded()
		}}
	}
	http1, http2 := to(false), to(true)
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if h2 && r.ProtoMajor == 2 {
			http2.ServeHTTP(w, r)
			return
		}
		http1.ServeHTTP(w, r)
	})
}
