package main

import (
	"io"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/sluice-proxy/sluice/internal/limits"
)

// TestWrongStarts checks that the program prints one line for each mistake and exits with code 1.
func TestWrongStarts(t *testing.T) {
	dir := t.TempDir()
	good, bad := filepath.Join(dir, "good.yaml"), filepath.Join(dir, "bad.yaml")
	for name, text := range map[string]string{good: "revisions: []\n", bad: "revisions:\n- name: x\n  nam: y\n"} {
		if err := os.WriteFile(name, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	taken := httptest.NewServer(nil)
	defer taken.Close()
	_, port, _ := strings.Cut(taken.Listener.Addr().String(), ":")
	pod := []string{"POD_NAME=a", "POD_IP=10.0.0.1", "SYSTEM_NAMESPACE=knative-serving", "KUBECONFIG=" + dir + "/none"}
	for _, c := range []struct {
		name string
		env  []string
		args []string
		want string
	}{
		{"no source", nil, nil, "activator: no source of revisions is configured: name a file (-config FILE) or a cluster (-kubeconfig FILE, $KUBECONFIG), or run in a pod (see -help)\n"},
		{"missing file", nil, []string{"-config", dir + "/none"}, "activator: open " + dir + "/none: no such file or directory\n"},
		{"wrong file", nil, []string{"-config", bad}, "activator: " + bad + ":3: field nam not found\n"},
		{"argument", nil, []string{"-config", good, "x"}, "activator: unexpected argument \"x\"\n"},
		{"level", []string{"SLUICE_LOG_LEVEL=loud"}, []string{"-config", good}, "activator: log level \"loud\" is none of debug, info, warn, error\n"},
		{"variable", []string{"PROBE_TIMEOUT=5"}, []string{"-config", good}, "activator: PROBE_TIMEOUT is \"5\", expected a duration such as 30s\n"},
		{"classic metrics", []string{"SLUICE_CLASSIC_METRICS=old"}, []string{"-config", good}, "activator: SLUICE_CLASSIC_METRICS is \"old\", expected true or false\n"},
		{"autoscaler", nil, []string{"-config", good, "-autoscaler", "http://x"}, "activator: metrics: StatSenderConfig.URL \"http://x\" is not ws://host or wss://host\n"},
		{"port taken", nil, []string{"-config", good, "-bind", "127.0.0.1", "-http1-port", port}, "activator: port " + port + " (see -help for the flags that choose ports): listen tcp 127.0.0.1:" + port + ": bind: address already in use\n"},
		{"a bare pod", []string{"KUBERNETES_SERVICE_HOST=10.96.0.1"}, nil, `activator: POD_NAME is missing, expected the pod's name (metadata.name)
POD_IP is missing, expected the pod's address (status.podIP)
SYSTEM_NAMESPACE is missing, expected the namespace of Knative Serving (metadata.namespace)
`},
		{"address", append([]string{"POD_IP=here"}, pod...), nil, "activator: POD_IP is \"here\", expected an IP address\n"},
		{"profiling port", append([]string{"PROFILING_PORT=x"}, pod...), nil, "activator: PROFILING_PORT is \"x\", expected a port number from 1 to 65535, or 0 for none\n"},
		{"TLS", append([]string{"ACTIVATOR_TLS_MIN_VERSION=1.1"}, pod...), nil, "activator: ACTIVATOR_TLS_MIN_VERSION is \"1.1\", expected 1.2 or 1.3\n"},
		{"metrics port", pod, []string{"-metrics-port", "1"}, "activator: -metrics-port needs -config; on Kubernetes the ConfigMap config-observability configures metrics\n"},
		{"missing kubeconfig", pod, []string{"-kubeconfig", dir + "/none"}, "activator: configuration of the Kubernetes client: stat " + dir + "/none: no such file or directory\n"},
	} {
		t.Run(c.name, func(t *testing.T) {
			cmd := exec.Command(binary, c.args...)
			slices.Reverse(c.env) // the last wins
			cmd.Env = append([]string{"PATH=" + os.Getenv("PATH")}, c.env...)
			out, err := cmd.CombinedOutput()
			if cmd.ProcessState.ExitCode() != 1 || string(out) != c.want {
				t.Errorf("%v:\n%s\nwant:\n%s", err, out, c.want)
			}
		})
	}
}

// TestParse checks the options by default, in a pod of Knative's manifests, and with each flag or variable.
func TestParse(t *testing.T) {
	pod := []string{"POD_NAME=a", "POD_IP=10.0.0.1", "SYSTEM_NAMESPACE=knative-serving", "KUBERNETES_SERVICE_HOST=10.96.0.1", "CLUSTER_DOMAIN=example.org"}
	plain := options{
		http1: 8012, http2: 8013, tlsPort: 8112, metricsPort: -1, pprofPort: 8008,
		autoscaler: "ws://autoscaler.knative-serving.svc.example.org:8080", drain: 45 * time.Second, shutdown: 550 * time.Second,
		podName: "a", podIP: "10.0.0.1", clusterDomain: "example.org", limits: limits.OfProcess(),
		namespace: "knative-serving", loggingMap: "config-logging", observability: "config-observability",
	}
	with := func(change func(*options)) options { o := plain; change(&o); return o }
	for _, c := range []struct {
		name      string
		env, args []string
		want      options
	}{
		{"in a pod", nil, nil, plain},
		{"classic metrics by the environment", []string{"SLUICE_CLASSIC_METRICS=true"}, nil, with(func(o *options) { o.classicMetrics = true })},
		{"and by a flag", nil, []string{"-classic-metrics"}, with(func(o *options) { o.classicMetrics = true })},
		{"which wins", []string{"SLUICE_CLASSIC_METRICS=1"}, []string{"-classic-metrics=false"}, plain},
		{"another autoscaler", []string{"SLUICE_AUTOSCALER_URL=ws://x:1"}, nil, with(func(o *options) { o.autoscaler = "ws://x:1" })},
		{"numbers", []string{"MAX_IDLE_PROXY_CONNS=7", "MAX_IDLE_PROXY_CONNS_PER_HOST=8", "PROBE_TIMEOUT=1s", "PROBE_FREQUENCY=2s", "PROFILING_PORT=9"}, nil, with(func(o *options) {
			o.maxIdleConns, o.maxIdleConnsPerHost, o.probeTimeout, o.probeFrequency, o.pprofPort = 7, 8, time.Second, 2*time.Second, 9
		})},
		{"a file", nil, []string{"-config", "f"}, with(func(o *options) { o.config, o.autoscaler, o.pprofPort = "f", "", -1 })},
	} {
		t.Run(c.name, func(t *testing.T) {
			env := map[string]string{}
			for _, v := range append(slices.Clone(pod), c.env...) {
				name, value, _ := strings.Cut(v, "=")
				env[name] = value
			}
			o, err := parse(c.args, func(name string) (string, bool) { v, ok := env[name]; return v, ok }, io.Discard)
			if o.onKubernetes() != (o.tls != nil) {
				t.Errorf("TLS: %v", o.tls)
			}
			o.tls = nil
			if err != nil || !reflect.DeepEqual(o, c.want) {
				t.Errorf("%v\n%+v\nwant\n%+v", err, o, c.want)
			}
		})
	}
}

func TestHelpAndVersion(t *testing.T) {
	for arg, want := range map[string]string{
		"-help": "activator -config FILE", "--help": "PROBE_FREQUENCY", "-version": "sluice activator ",
	} {
		out, err := exec.Command(binary, arg).CombinedOutput()
		if err != nil || !strings.Contains(string(out), want) {
			t.Errorf("%s: %v, %s", arg, err, out)
		}
	}
}
