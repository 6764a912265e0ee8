package queueproxy

import (
	"net/http"
	"reflect"
	"testing"
	"time"
)

func TestParseProbes(t *testing.T) {
	never := Probe{Aggressive: true}
	for _, test := range []struct {
		name, json string
		list       bool
		want       []Probe
	}{
		{"unset", "", false, nil},
		{"blank", " \n", true, nil},
		{"null", "null", false, nil},
		{"empty object", "{}", false, []Probe{never}},
		{"empty list", "[]", true, nil},
		{"null entries", `[null, {}, null]`, true, []Probe{never}},
		{"exec is not ours to run", `{"exec":{"command":["x"]}}`, false, []Probe{never}},
		{
			"http", `{"httpGet":{"path":"/healthz?full=1","port":8081,"host":"127.0.0.2","scheme":"HTTP","httpHeaders":[{"name":"x-a","value":"1"},{"name":"x-a","value":"2"}]},"periodSeconds":10,"timeoutSeconds":3,"successThreshold":1,"failureThreshold":3,"new":{}}`, false,
			[]Probe{{Kind: ProbeHTTP, Addr: "127.0.0.2:8081", Target: "/healthz?full=1", Header: http.Header{"X-A": {"1", "2"}}, Timeout: 3 * time.Second, SuccessThreshold: 1}},
		},
		{"http by default", `{"httpGet":{}}`, false, []Probe{{Kind: ProbeHTTP, Addr: "127.0.0.1:8080", Target: "/", Aggressive: true}}},
		{"path without slash", `{"httpGet":{"path":"x","port":"8081"}}`, false, []Probe{{Kind: ProbeHTTP, Addr: "127.0.0.1:8081", Target: "/x", Aggressive: true}}},
		{"https", `{"httpGet":{"scheme":"HTTPS","port":8443},"periodSeconds":1}`, false, []Probe{{Kind: ProbeHTTP, TLS: true, Addr: "127.0.0.1:8443", Target: "/"}}},
		{"tcp", `{"tcpSocket":{"port":0,"host":"::1"},"successThreshold":2}`, false, []Probe{{Kind: ProbeTCP, Addr: "[::1]:8080", Aggressive: true, SuccessThreshold: 2}}},
		{"grpc", `{"grpc":{"port":9000,"service":"a.B"},"periodSeconds":1}`, false, []Probe{{Kind: ProbeGRPC, Addr: "127.0.0.1:9000", Service: "a.B"}}},
		{"grpc without service", `{"grpc":{"port":9000,"service":null},"periodSeconds":1}`, false, []Probe{{Kind: ProbeGRPC, Addr: "127.0.0.1:9000"}}},
		{"two containers", `[{"tcpSocket":{"port":1}},{"httpGet":{"port":2}}]`, true, []Probe{{Kind: ProbeTCP, Addr: "127.0.0.1:1", Aggressive: true}, {Kind: ProbeHTTP, Addr: "127.0.0.1:2", Target: "/", Aggressive: true}}},
	} {
		t.Run(test.name, func(t *testing.T) {
			got, err := ParseProbes(test.json, test.list, "127.0.0.1", 8080)
			if err != nil {
				t.Fatal(err)
			}
			if !reflect.DeepEqual(got, test.want) {
				t.Errorf("got  %+v\nwant %+v", got, test.want)
			}
		})
	}
}

func FuzzParseProbes(f *testing.F) {
	for _, s := range []string{
		"", "{}", "null", "[null]", `{"httpGet":{"path":"/","port":"1","scheme":"HTTPS","httpHeaders":[{"name":"a","value":"b"}]}}`,
		`{"tcpSocket":{"port":1e3}}`, `{"grpc":{"port":-1,"service":"x"},"periodSeconds":1}`, `{"httpGet":{"path":"\u0000 %zz"}}`,
		`{"httpGet":{"host":"a b"}}`, `{"timeoutSeconds":2147483647}`,
	} {
		f.Add(s, true)
		f.Add(s, false)
	}
	f.Fuzz(func(t *testing.T, s string, list bool) {
		probes, err := ParseProbes(s, list, "127.0.0.1", 8080)
		if err != nil {
			if len(probes) > 0 {
				t.Error("an error and probes")
			}
			return
		}
		for _, p := range probes {
			if err := p.Validate(); err != nil {
				t.Errorf("parsed and not valid: %v", err)
			}
			if p.Kind == ProbeHTTP {
				if _, err := p.request(); err != nil {
					t.Errorf("parsed and can't be asked: %v", err)
				}
			}
		}
	})
}
