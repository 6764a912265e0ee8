package main

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"net/http"
	"net/http/httptest"
	"os/exec"
	"path/filepath"
	"syscall"
	"testing"
)

// onKubernetes starts an activator as in a pod of Knative, on other ports.
func onKubernetes(t testing.TB, a *apiServer, args ...string) *process {
	t.Helper()
	p := &process{}
	cmd := exec.Command(binary, append([]string{
		"-bind", "127.0.0.1", "-http1-port", "0", "-http2-port", "0", "-profiling-port", "0", "-tls-port", "0",
		"-autoscaler", "ws://127.0.0.1:1",
	}, args...)...)
	cmd.Env = []string{
		"KUBECONFIG=" + a.kubeconfig, "POD_NAME=activator-1", "POD_IP=10.0.0.1", "SYSTEM_NAMESPACE=" + system,
		"CLUSTER_DOMAIN=cluster.local",
	}
	p.run(t, cmd)
	await(t, "its ports", func() bool { return len(p.addresses("requests")) == 2 && len(p.addresses("profiling")) == 1 })
	return p
}

// readiness returns the response to a probe of the kubelet.
func (p *process) readiness(t testing.TB) (status int, why string) {
	t.Helper()
	status, why, err := get(client(t, false), p.addresses("requests")[0], "User-Agent", "kube-probe/1.35")
	if err != nil {
		return 0, err.Error()
	}
	return status, why
}

func (p *process) ready(t testing.TB) {
	t.Helper()
	await(t, "readiness", func() bool { s, _ := p.readiness(t); return s == 200 })
}

// loopback returns a loopback address that no other test on this machine uses: all pods have the same ports, so that each
// needs an address. A listener on a port that no pod uses reserves it.
func loopback(t testing.TB) string {
	t.Helper()
	for {
		ip := fmt.Sprintf("127.%d.%d.%d", 64+rand.IntN(64), rand.IntN(256), 1+rand.IntN(254))
		l, err := net.Listen("tcp", ip+":8011")
		switch {
		case errors.Is(err, syscall.EADDRINUSE):
			continue
		case err != nil:
			t.Skipf("the loopback has no address but 127.0.0.1: %v", err)
		}
		t.Cleanup(func() { _ = l.Close() })
		return ip
	}
}

// sidecar runs a queue-proxy in front of an app that answers hello; certs is its directory of certificates, or "".
func sidecar(t testing.TB, certs string) (addr string) {
	t.Helper()
	app := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		fmt.Fprint(w, "hello by ", r.Host, r.URL.Path)
	}))
	app.Config.Protocols = bothProtocols()
	app.Start()
	t.Cleanup(app.Close)
	_, port, _ := net.SplitHostPort(app.Listener.Addr().String())
	ip := loopback(t)
	p := &process{}
	cmd := exec.Command(queueProxy)
	cmd.Env = []string{
		"CONTAINER_CONCURRENCY=1", "QUEUE_SERVING_PORT=8012", "USER_PORT=" + port, "REVISION_TIMEOUT_SECONDS=20", "REVISION_RESPONSE_START_TIMEOUT_SECONDS=0",
		"SERVING_LOGGING_CONFIG=", "SERVING_LOGGING_LEVEL=info", "SERVING_NAMESPACE=default", "SERVING_CONFIGURATION=conf",
		"SERVING_REVISION=hello", "SERVING_POD=hello-1", "SERVING_POD_IP=" + ip, "SLUICE_BIND_ADDRESS=" + ip,
		"QUEUE_SERVING_TLS_PORT=8112", "SLUICE_CERTS_DIR=" + certs,
	}
	if certs == "" {
		cmd.Env[len(cmd.Env)-1] = "SLUICE_CERTS_DIR=" + filepath.Join(t.TempDir(), "none")
	}
	p.run(t, cmd)
	addr = net.JoinHostPort(ip, "8012")
	await(t, "the queue-proxy", func() bool {
		c, err := net.Dial("tcp", addr)
		if err == nil {
			_ = c.Close()
		}
		return err == nil
	})
	return addr
}
