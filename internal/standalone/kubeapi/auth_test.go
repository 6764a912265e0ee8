package kubeapi

import (
	"crypto/ecdsa"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"fmt"
	"io"
	"net"
	"net/http"
	"slices"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

func TestWhoIsServed(t *testing.T) {
	s, addr := start(t, Config{})
	_, port, _ := net.SplitHostPort(addr)
	c := client(t, s, false)
	paths := []string{
		"/", "/healthz", "/livez", "/readyz", "/healthz/etcd", "/version", "/api", "/apis", "/api/v1", "/apis/serving.knative.dev/v1",
		"/openapi/v2", "/openapi/v3", "/openapi/v3/api/v1", "/api/v1/pods", "/api/v1/namespaces/default/pods/a/log", "/nothing",
	}
	open := []string{"/healthz", "/livez", "/readyz"}
	for name, test := range map[string]struct {
		fields map[string]string
		host   string
		want   int // 0: it is served
		reason metav1.StatusReason
	}{
		"token":             {fields: map[string]string{"Authorization": "Bearer " + testToken}},
		"token, small":      {fields: map[string]string{"Authorization": "bearer " + testToken}},
		"localhost":         {fields: map[string]string{"Authorization": "Bearer " + testToken}, host: "localhost:" + port},
		"Localhost":         {fields: map[string]string{"Authorization": "Bearer " + testToken}, host: "LocalHost:" + port},
		"::1":               {fields: map[string]string{"Authorization": "Bearer " + testToken}, host: "[::1]:" + port},
		"127.9.9.9":         {fields: map[string]string{"Authorization": "Bearer " + testToken}, host: "127.9.9.9:" + port},
		"no token":          {want: 401, reason: metav1.StatusReasonUnauthorized},
		"empty token":       {fields: map[string]string{"Authorization": "Bearer "}, want: 401, reason: metav1.StatusReasonUnauthorized},
		"wrong token":       {fields: map[string]string{"Authorization": "Bearer 0123456789abcdeg"}, want: 401, reason: metav1.StatusReasonUnauthorized},
		"beginning":         {fields: map[string]string{"Authorization": "Bearer 0123456789abcde"}, want: 401, reason: metav1.StatusReasonUnauthorized},
		"longer token":      {fields: map[string]string{"Authorization": "Bearer " + testToken + "0"}, want: 401, reason: metav1.StatusReasonUnauthorized},
		"other scheme":      {fields: map[string]string{"Authorization": "Basic " + testToken}, want: 401, reason: metav1.StatusReasonUnauthorized},
		"other Host":        {fields: map[string]string{"Authorization": "Bearer " + testToken}, host: "example.com:" + port, want: 403, reason: metav1.StatusReasonForbidden},
		"rebound Host":      {fields: map[string]string{"Authorization": "Bearer " + testToken}, host: "127.0.0.1.example.com:" + port, want: 403, reason: metav1.StatusReasonForbidden},
		"other address":     {fields: map[string]string{"Authorization": "Bearer " + testToken}, host: "192.0.2.1:" + port, want: 403, reason: metav1.StatusReasonForbidden},
		"other port":        {fields: map[string]string{"Authorization": "Bearer " + testToken}, host: "127.0.0.1:1", want: 403, reason: metav1.StatusReasonForbidden},
		"no port":           {fields: map[string]string{"Authorization": "Bearer " + testToken}, host: "127.0.0.1", want: 403, reason: metav1.StatusReasonForbidden},
		"no port, IPv6":     {fields: map[string]string{"Authorization": "Bearer " + testToken}, host: "[::1]", want: 403, reason: metav1.StatusReasonForbidden},
		"Origin":            {fields: map[string]string{"Authorization": "Bearer " + testToken, "Origin": "https://example.com"}, want: 403, reason: metav1.StatusReasonForbidden},
		"Origin null":       {fields: map[string]string{"Authorization": "Bearer " + testToken, "Origin": "null"}, want: 403, reason: metav1.StatusReasonForbidden},
		"Origin, loopback":  {fields: map[string]string{"Authorization": "Bearer " + testToken, "Origin": "https://" + addr}, want: 403, reason: metav1.StatusReasonForbidden},
		"Origin and others": {fields: map[string]string{"Origin": "https://example.com"}, host: "example.com", want: 403, reason: metav1.StatusReasonForbidden},
	} {
		for _, path := range paths {
			for _, method := range []string{"GET", "OPTIONS", "POST"} {
				res, body := ask(t, c, method, "https://"+addr+path, func(r *http.Request) {
					r.Header.Del("Authorization")
					for field, value := range test.fields {
						r.Header.Set(field, value)
					}
					r.Host = test.host
				})
				for field := range res.Header {
					if len(field) > 14 && field[:14] == "Access-Control" {
						t.Errorf("%s %s, %s: the answer has the field %s", method, path, name, field)
					}
				}
				if test.want == 0 || test.want == 401 && slices.Contains(open, path) {
					if res.StatusCode == 401 || res.StatusCode == 403 {
						t.Errorf("%s %s, %s: got %s: %s", method, path, name, res.Status, body)
					}
					continue
				}
				if st := status(t, body); res.StatusCode != test.want || int(st.Code) != test.want || st.Reason != test.reason {
					t.Errorf("%s %s, %s: got %s: %s; want %d", method, path, name, res.Status, body, test.want)
				}
				if got := res.Header.Get("WWW-Authenticate"); (got == "Bearer") != (test.want == 401) {
					t.Errorf("%s %s, %s: got the challenge %q", method, path, name, got)
				}
			}
		}
	}
}

func TestCertificate(t *testing.T) {
	now := time.Now()
	certificate, authority, err := newCertificate(now)
	if err != nil {
		t.Fatal(err)
	}
	block, rest := pem.Decode(authority)
	if block == nil || len(rest) > 0 {
		t.Fatalf("the authority isn't one PEM block: %s", authority)
	}
	root, err := x509.ParseCertificate(block.Bytes)
	if err != nil {
		t.Fatal(err)
	}
	leaf, err := x509.ParseCertificate(certificate.Certificate[0])
	if err != nil {
		t.Fatal(err)
	}
	if !root.IsCA || leaf.IsCA || leaf.SerialNumber.Cmp(root.SerialNumber) == 0 {
		t.Errorf("authority %v, certificate %v, serial numbers %v and %v", root.IsCA, leaf.IsCA, root.SerialNumber, leaf.SerialNumber)
	}
	if key, ok := leaf.PublicKey.(*ecdsa.PublicKey); !ok || key.Params().Name != "P-256" {
		t.Errorf("got a key %T", leaf.PublicKey)
	}
	roots := x509.NewCertPool()
	roots.AddCert(root)
	for name, want := range map[string]bool{"127.0.0.1": true, "::1": true, "localhost": true, "127.0.0.2": false, "example.com": false} {
		for at, valid := range map[time.Time]bool{
			now: true, now.Add(-time.Minute): true, now.Add(-2 * time.Hour): false, now.Add(364 * 24 * time.Hour): true, now.Add(366 * 24 * time.Hour): false,
		} {
			_, err := leaf.Verify(x509.VerifyOptions{DNSName: name, Roots: roots, CurrentTime: at})
			if (err == nil) != (want && valid) {
				t.Errorf("%s at %v: %v", name, at, err)
			}
		}
	}
}

func TestCertificateOfAnotherServerIsRefused(t *testing.T) {
	a, _ := start(t, Config{})
	_, addr := start(t, Config{})
	if res, err := client(t, a, false).Get("https://" + addr + "/healthz"); err == nil {
		res.Body.Close()
		t.Error("a client of one server trusts another one")
	}
}

func TestOldTLSIsRefused(t *testing.T) {
	_, addr := start(t, Config{})
	c, err := tls.Dial("tcp", addr, &tls.Config{InsecureSkipVerify: true, MaxVersion: tls.VersionTLS11, MinVersion: tls.VersionTLS10})
	if err == nil {
		c.Close()
		t.Error("TLS 1.1 is accepted")
	}
}

// A client without the token must not hold a connection by a body that doesn't come.
func TestRefusalDoesNotWaitForTheBody(t *testing.T) {
	_, addr := start(t, Config{})
	for _, path := range []string{"/api/v1/pods", "/healthz"} {
		c, err := tls.Dial("tcp", addr, &tls.Config{InsecureSkipVerify: true})
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		_ = c.SetDeadline(time.Now().Add(3 * time.Second))
		if _, err := fmt.Fprintf(c, "POST %s HTTP/1.1\r\nHost: %s\r\nContent-Length: 1000\r\n\r\n", path, addr); err != nil {
			t.Fatal(err)
		}
		if _, err := io.ReadAll(c); err != nil {
			t.Errorf("%s: %v", path, err)
		}
	}
}
