package queueproxy

import (
	"net/http"
	"reflect"
	"strings"
	"testing"
	"time"

	"go.uber.org/zap"
	"go.uber.org/zap/zaptest/observer"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/util/intstr"
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

// leaves are the names of all fields of a type that hold a value, as in JSON.
func leaves(t reflect.Type, prefix string) (all []string) {
	for t.Kind() == reflect.Pointer || t.Kind() == reflect.Slice {
		t = t.Elem()
	}
	if t.Kind() != reflect.Struct || t == reflect.TypeFor[intstr.IntOrString]() {
		return []string{prefix}
	}
	for f := range t.Fields() {
		name, _, _ := strings.Cut(f.Tag.Get("json"), ",")
		switch {
		case name == "": // inline
			all = append(all, leaves(f.Type, prefix)...)
		case prefix == "":
			all = append(all, leaves(f.Type, name)...)
		default:
			all = append(all, leaves(f.Type, prefix+"."+name)...)
		}
	}
	return all
}

// Every field of a Kubernetes probe is used or has a reason not to be; a new version of its API may not bring
// one unnoticed.
func TestC6EveryFieldOfAProbe(t *testing.T) {
	tests := map[string]struct {
		with, without string
		used          func(Probe) any // nil: it changes nothing
		why           string          // then
	}{
		"exec.command":                  {`{"exec":{"command":["x"]}}`, `{"exec":{}}`, nil, "a command can only be run in the app's container, by the kubelet; Knative gives the queue-proxy a TCP probe in its place"},
		"httpGet.path":                  {`{"httpGet":{"path":"/a"}}`, `{"httpGet":{}}`, func(p Probe) any { return p.Target }, ""},
		"httpGet.port":                  {`{"httpGet":{"port":7}}`, `{"httpGet":{}}`, func(p Probe) any { return p.Addr }, ""},
		"httpGet.host":                  {`{"httpGet":{"host":"::1"}}`, `{"httpGet":{}}`, func(p Probe) any { return p.Addr }, ""},
		"httpGet.scheme":                {`{"httpGet":{"scheme":"HTTPS"}}`, `{"httpGet":{}}`, func(p Probe) any { return p.TLS }, ""},
		"httpGet.httpHeaders.name":      {`{"httpGet":{"httpHeaders":[{"name":"a","value":"x"}]}}`, `{"httpGet":{"httpHeaders":[{"name":"b","value":"x"}]}}`, func(p Probe) any { return p.Header.Get("a") }, ""},
		"httpGet.httpHeaders.value":     {`{"httpGet":{"httpHeaders":[{"name":"a","value":"x"}]}}`, `{"httpGet":{"httpHeaders":[{"name":"a","value":"y"}]}}`, func(p Probe) any { return p.Header.Get("a") }, ""},
		"tcpSocket.port":                {`{"tcpSocket":{"port":7}}`, `{"tcpSocket":{}}`, func(p Probe) any { return p.Addr }, ""},
		"tcpSocket.host":                {`{"tcpSocket":{"host":"::1"}}`, `{"tcpSocket":{}}`, func(p Probe) any { return p.Addr }, ""},
		"grpc.port":                     {`{"grpc":{"port":7}}`, `{"grpc":{}}`, func(p Probe) any { return p.Addr }, ""},
		"grpc.service":                  {`{"grpc":{"service":"s"}}`, `{"grpc":{}}`, func(p Probe) any { return p.Service }, ""},
		"timeoutSeconds":                {`{"tcpSocket":{},"timeoutSeconds":7}`, `{"tcpSocket":{}}`, func(p Probe) any { return p.Timeout }, ""},
		"periodSeconds":                 {`{"tcpSocket":{},"periodSeconds":7}`, `{"tcpSocket":{}}`, func(p Probe) any { return p.Aggressive }, ""},
		"successThreshold":              {`{"tcpSocket":{},"successThreshold":7}`, `{"tcpSocket":{}}`, func(p Probe) any { return p.SuccessThreshold }, ""},
		"initialDelaySeconds":           {`{"tcpSocket":{},"initialDelaySeconds":7}`, `{"tcpSocket":{}}`, func(p Probe) any { return p.InitialDelay }, ""},
		"failureThreshold":              {`{"tcpSocket":{},"failureThreshold":7}`, `{"tcpSocket":{}}`, nil, "the kubelet counts failures; each probe request is answered by what is"},
		"terminationGracePeriodSeconds": {`{"tcpSocket":{},"terminationGracePeriodSeconds":7}`, `{"tcpSocket":{}}`, nil, "of liveness and startup probes, and for the kubelet"},
	}
	for _, field := range leaves(reflect.TypeFor[corev1.Probe](), "") {
		test, ok := tests[field]
		if !ok {
			t.Errorf("%s is new: use it, or list why not", field)
			continue
		}
		delete(tests, field)
		with, err := ParseProbes(test.with, false, "127.0.0.1", 8080)
		without, err2 := ParseProbes(test.without, false, "127.0.0.1", 8080)
		if err != nil || err2 != nil {
			t.Errorf("%s: %v, %v", field, err, err2)
			continue
		}
		if test.used == nil {
			if !reflect.DeepEqual(with, without) || test.why == "" {
				t.Errorf("%s changes %+v to %+v", field, without, with)
			}
		} else if reflect.DeepEqual(test.used(with[0]), test.used(without[0])) {
			t.Errorf("%s changes nothing: %+v", field, with)
		}
	}
	for field := range tests {
		t.Errorf("Kubernetes has no field %s", field)
	}
}

// Only the kubelet applies initialDelaySeconds, so New logs it.
func TestC6InitialDelayIsTold(t *testing.T) {
	for probe, want := range map[string]int{
		`{"tcpSocket":{"port":8080},"initialDelaySeconds":3}`: 1,
		`{"tcpSocket":{"port":8080}}`:                         0,
	} {
		probes, err := ParseProbes(probe, false, "127.0.0.1", 8080)
		if err != nil {
			t.Fatal(err)
		}
		core, logs := observer.New(zap.InfoLevel)
		p, err := New(Config{UserAddr: "127.0.0.1:8080", Probes: probes}, zap.New(core))
		if err != nil {
			t.Fatal(err)
		}
		defer p.Close()
		if got := logs.FilterField(zap.Duration("initialDelay", 3*time.Second)).Len(); got != want {
			t.Errorf("%s: %d lines in %v", probe, got, logs.All())
		}
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

// The error of a malformed probe is in JSON's terms and quotes nothing of it.
func TestC3AProbeThatIsNone(t *testing.T) {
	for _, c := range []struct {
		data string
		list bool
		want string
	}{
		{`[]`, false, "the whole is a JSON array, expected an object"},
		{`{"exec": {}}`, true, "the whole is a JSON object, expected a list"},
		{`["secret"]`, true, "the whole is a JSON string, expected an object"},
		{`"secret"`, false, "the whole is a JSON string, expected an object"},
		{`{"httpGet": []}`, false, "HTTPGet is a JSON array, expected an object"},
		{`{"httpGet": {"port": true}}`, false, "HTTPGet.Port is a JSON bool, expected a number or a string with one"},
		{`{"httpGet": {"httpHeaders": {"a": "secret"}}}`, false, "HTTPGet.HTTPHeaders is a JSON object, expected a list"},
		{`{"timeoutSeconds": 1.5}`, false, "TimeoutSeconds is a JSON number, expected a whole number of 32 bits"},
		{`{"periodSeconds": 99999999999}`, false, "PeriodSeconds is a JSON number, expected a whole number of 32 bits"},
		{`{"tcpSocket": {"host": 1}}`, false, "TCPSocket.Host is a JSON number, expected a string"},
		{`{`, false, "no JSON after byte 1"},
	} {
		if _, err := ParseProbes(c.data, c.list, "127.0.0.1", 8080); err == nil || err.Error() != c.want {
			t.Errorf("%s:\ngot  %v\nwant %s", c.data, err, c.want)
		}
	}
}
