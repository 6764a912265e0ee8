package h1

import (
	"net/url"
	"strings"
	"testing"
)

// FuzzHosts: a host is taken only where net/http takes it, from the field and from an absolute-form, and as the same; and
// it is a host wherever an app may put it, in a URL that it makes of it for one.
func FuzzHosts(f *testing.F) {
	for _, s := range []string{
		"x", "", "x:80", "x:", ":80", "[::1]:80", "[::1%25en0]", "[::1", "::1", "a,b", "a_b.c-d", "A.example.", "x/y", "u@x", "x?y", "x#y",
		"x\\y", "x y", "x\ty", "\xe9", "xn--e1afmkfd", "%41", "%zz", "x%2fy", "x:a", "x:99999", "127.1", "0x7f.1", "!$&'()*+,;=~",
	} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, host string) {
		if strings.ContainsAny(host, "\r\n") {
			return // not one field
		}
		field := "GET / HTTP/1.1\r\nHost: " + host + "\r\n\r\n"
		sameMessages(t, []byte(field))
		sameMessages(t, []byte("GET http://"+host+"/p HTTP/1.1\r\nHost: y\r\n\r\n"))
		sameMessages(t, []byte("GET http://"+host+" HTTP/1.1\r\nHost: y\r\n\r\n"))
		sameMessages(t, []byte("GET / HTTP/1.0\r\nHost:"+host+"\r\n\r\n"))
		var r Request
		if r.Parse(field, 10) != nil {
			return
		}
		if r.Host != strings.Trim(host, " \t") {
			t.Fatalf("%q became %q", host, r.Host)
		}
		u, err := url.Parse("http://" + r.Host + "/path")
		if err == nil && (u.Path != "/path" || u.User != nil || u.RawQuery != "" || u.Fragment != "") {
			t.Fatalf("%q makes a URL of %+v", host, u)
		}
	})
}
