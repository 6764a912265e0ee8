package static

import (
	"os"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/sluice-proxy/sluice/activator"
	"github.com/sluice-proxy/sluice/proxy"
	"github.com/sluice-proxy/sluice/throttler"
)

func TestParseExample(t *testing.T) {
	data, err := os.ReadFile("../../examples/activator.yaml")
	if err != nil {
		t.Fatal(err)
	}
	got, err := Parse("activator.yaml", data)
	if err != nil {
		t.Fatal(err)
	}
	want := []Revision{{
		Revision: activator.Revision{
			ID:       throttler.RevisionID{Namespace: "default", Name: "hello-00001"},
			Limit:    10,
			Timeouts: proxy.Timeouts{Total: 300 * time.Second},
			Service:  "hello", Configuration: "hello", MaxWaiting: 1000, Affinity: "header=X-Session",
		},
		Endpoints: activator.Endpoints{
			Ready:    []activator.Endpoint{{ID: "hello-1", Addr: "127.0.0.1:9012"}},
			NotReady: []activator.Endpoint{{ID: "hello-2", Addr: "127.0.0.1:9022"}},
		},
	}, {
		Revision: activator.Revision{
			ID:         throttler.RevisionID{Namespace: "default", Name: "chat-00003"},
			Timeouts:   proxy.Timeouts{Total: 300 * time.Second},
			Proto:      proxy.HTTP2,
			NoEarlyUse: true,
			Probe:      activator.ProbeTCP,
		},
		Peers: []string{"10.0.0.4", "10.0.0.5"},
	}}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("got  %+v\nwant %+v", got, want)
	}
}

func TestParseErrors(t *testing.T) {
	const head = "revisions:\n- namespace: n\n  name: r\n"
	for name, c := range map[string]struct{ text, want string }{
		"empty":          {"", `f:1: the file is empty; a file without revisions is "revisions: []"`},
		"only a comment": {"# nothing\n", `f:1: the file is empty; a file without revisions is "revisions: []"`},
		"syntax":         {"revisions:\n\t- name: x\n", "f:2: found character that cannot start any token"},
		"two documents":  {"revisions: []\n---\nrevisions: []\n", "f:1: the file has more than one YAML document"},
		"unknown field":  {head + "  containerConcurency: 1\n", "f:4: field containerConcurency not found"},
		"unknown field of a pod": {
			head + "  pods:\n  - address: a:1\n    port: 1\n", "f:6: field port not found",
		},
		"no name":      {"revisions:\n- namespace: n\n", "f:2: name is missing"},
		"no namespace": {"revisions:\n- name: n\n- name: m\n  namespace: n\n", "f:2: namespace is missing"},
		"not a number": {
			head + "  containerConcurrency: many\n", "f:4: cannot unmarshal !!str `many` into int",
		},
		"negative limit":   {head + "  containerConcurrency: -1\n", "f:4: containerConcurrency is negative"},
		"negative waiting": {head + "  maxWaiting: -1\n", "f:4: maxWaiting is negative"},
		"negative timeout": {head + "  timeoutSeconds: -1\n", "f:4: timeoutSeconds is not a number of seconds"},
		"endless timeout":  {head + "  idleTimeoutSeconds: .inf\n", "f:4: idleTimeoutSeconds is not a number of seconds"},
		"no timeout":       {head + "  responseStartTimeoutSeconds: .nan\n", "f:4: responseStartTimeoutSeconds is not a number of seconds"},
		"probe":            {head + "  probe: http\n", `f:4: probe "http" is neither queue-proxy nor tcp`},
		"protocol":         {head + "  protocol: h3\n", `f:4: protocol "h3" is neither http1 nor h2c`},
		"affinity":         {head + "  affinity: ip\n", `f:4: sluice.dev/affinity "ip" is not header=FIELD, cookie=NAME, query=NAME or path=N`},
		"address":          {head + "  pods:\n  - address: 10.0.0.1\n", `f:5: address "10.0.0.1" is not HOST:PORT`},
		"address missing":  {head + "  pods:\n  - id: x\n", `f:5: address "" is not HOST:PORT`},
		"pod twice": {
			head + "  pods:\n  - {id: x, address: \"a:1\"}\n  - {id: x, address: \"b:1\"}\n",
			`f:6: the revision has another pod "x"`,
		},
		"revision twice": {head + "- namespace: n\n  name: r\n", "f:4: revision n/r is already defined in line 2"},
		"several": {
			"revisions:\n- name: r\n  protocol: x\n",
			`f:2: namespace is missing; f:3: protocol "x" is neither http1 nor h2c`,
		},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := Parse("f", []byte(c.text))
			if err == nil || err.Error() != c.want {
				t.Errorf("got  %v\nwant %s", err, c.want)
			}
		})
	}
}

func TestParseDefaults(t *testing.T) {
	got, err := Parse("f", []byte("revisions:\n- namespace: n\n  name: r\n  timeoutSeconds: 0\n  pods:\n  - address: a:1\n"))
	if err != nil {
		t.Fatal(err)
	}
	if r := got[0]; r.Timeouts.Total != 0 || r.Endpoints.Ready[0] != (activator.Endpoint{ID: "a:1", Addr: "a:1"}) {
		t.Errorf("got %+v", r)
	}
}

// FuzzParse checks that Parse does not panic, and that an error is one line that begins with file and line.
func FuzzParse(f *testing.F) {
	example, err := os.ReadFile("../../examples/activator.yaml")
	if err != nil {
		f.Fatal(err)
	}
	f.Add(example)
	for _, s := range []string{
		"", "revisions: [~]", "revisions: [{pods: [~, {address: ~}]}]", "revisions:\n- &a {name: x}\n- *a\n", "{}", "[]",
		"revisions: [{<<: {name: x, pods: [{address: 'a:1'}]}, namespace: n}]", "revisions: x", "a: b\n c: d",
	} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		all, err := Parse("file", data)
		if err != nil {
			if text := err.Error(); !strings.HasPrefix(text, "file:") || strings.Contains(text, "\n") {
				t.Errorf("error %q", text)
			}
			return
		}
		for _, r := range all {
			if r.ID.Name == "" || r.ID.Namespace == "" || r.Limit < 0 {
				t.Errorf("accepted %+v", r)
			}
		}
	})
}
