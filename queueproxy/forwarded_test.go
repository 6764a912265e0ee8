package queueproxy

import (
	"net/http"
	"testing"

	"github.com/sluice-proxy/sluice/proxy"
)

func TestForwarded(t *testing.T) {
	for _, test := range []struct {
		name, nodes, host, proto, want string
	}{
		{"one node", "1.2.3.4", "", "", "for=1.2.3.4"},
		{"all", "1.2.3.4", "a.example", "https", "for=1.2.3.4;host=a.example;proto=https"},
		{"more nodes", "1.2.3.4, 10.0.0.1,10.0.0.2", "a.example", "https", "for=1.2.3.4;host=a.example;proto=https, for=10.0.0.1, for=10.0.0.2"},
		{"IPv6", "2001:db8::1, 10.0.0.1", "", "", `for="[2001:db8::1]", for=10.0.0.1`},
		{"IPv6 in brackets", "[2001:db8::1]", "", "", `for="[2001:db8::1]"`},
		{"no node", "", "a.example:8080", "http", "host=a.example:8080;proto=http"},
		{"proto only", "", "", "http", "proto=http"},
		{"empty nodes", " , 1.2.3.4,,", "h", "", "for=1.2.3.4;host=h"},
		{"a client's tricks", `1.2.3.4;by="x`, `a;proto=https`, `http, for=9.9.9.9`, `for="1.2.3.4;by=\"x";host="a;proto=https";proto="http, for=9.9.9.9"`},
		{"nothing in it", " ,", "", "", ""},
	} {
		t.Run(test.name, func(t *testing.T) {
			h := http.Header{}
			for name, v := range map[string]string{"X-Forwarded-For": test.nodes, "X-Forwarded-Host": test.host, "X-Forwarded-Proto": test.proto} {
				if v != "" {
					h.Set(name, v)
				}
			}
			addForwarded(proxy.NewHeader(h))
			if got := h.Get("Forwarded"); got != test.want {
				t.Errorf("got  %s\nwant %s", got, test.want)
			}
		})
	}
	t.Run("there is one", func(t *testing.T) {
		h := http.Header{"Forwarded": {"for=unknown"}, "X-Forwarded-For": {"1.2.3.4"}}
		addForwarded(proxy.NewHeader(h))
		if got := h.Get("Forwarded"); got != "for=unknown" {
			t.Errorf("it became %s", got)
		}
	})
}
