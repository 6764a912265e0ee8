package e2e

import (
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"testing"
)

// cluster is a directory with the binaries of the data path, an activator, and the activator's file of revisions.
type cluster struct {
	t         testing.TB
	dir       string
	file      string // the file of revisions
	activator *daemon
	addr      string // the activator's address
}

// pod is an app and its queue-proxy as two processes.
type pod struct {
	name    string
	addr    string // the queue-proxy's address
	appPort int
	dir     string
	env     []string // the queue-proxy's environment
	app, qp *daemon
	t       testing.TB
}

// podLimit is containerConcurrency.
const podLimit = 5

// newCluster starts an activator with the revision default/rev, which has no pods.
func newCluster(t testing.TB, revision string, args ...string) *cluster {
	t.Helper()
	c := &cluster{t: t, dir: t.TempDir()}
	c.file = filepath.Join(c.dir, "revisions.yaml")
	for _, name := range []string{"app", "queue-proxy", "activator"} {
		link(t, c.dir, name)
	}
	c.pods(revision)
	port := freePort(t)
	c.addr = "127.0.0.1:" + strconv.Itoa(port)
	cmd := exec.Command(filepath.Join(c.dir, "activator"), append([]string{
		"-config", c.file, "-http1-port", strconv.Itoa(port), "-http2-port", "0",
	}, args...)...)
	cmd.Env = append(os.Environ(), "SLUICE_BIND_ADDRESS=127.0.0.1")
	c.activator = c.launch("activator", cmd)
	probe := request("GET", c.url("/"), "")
	probe.Header.Set("User-Agent", "kube-probe/1.34")
	client := clientOf(t, c.addr, 1)
	eventually(t, "the activator is ready", func() bool { return do(client, probe).ok() })
	return c
}

func (c *cluster) launch(name string, cmd *exec.Cmd) *daemon {
	c.t.Helper()
	d := launch(c.t, filepath.Join(c.dir, name+".log"), cmd)
	c.t.Cleanup(func() {
		if c.t.Failed() {
			c.t.Logf("output of %s:\n%s", name, tail(d.output(), 5000))
		}
	})
	return d
}

// url returns a URL of the revision at the activator, which finds the revision by the Host.
func (c *cluster) url(path string) string { return "http://rev.default.svc.cluster.local" + path }

// pods writes the file: the revision's settings, in YAML's flow style, and its pods.
func (c *cluster) pods(revision string, pods ...*pod) {
	c.t.Helper()
	text := fmt.Sprintf("revisions:\n- namespace: default\n  name: rev\n  containerConcurrency: %d\n%s", podLimit, revision)
	if len(pods) > 0 {
		text += "  pods:\n"
	}
	for _, p := range pods {
		text += fmt.Sprintf("  - {address: %q}\n", p.addr)
	}
	c.write(text)
}

// write replaces the file.
func (c *cluster) write(text string) {
	c.t.Helper()
	if err := os.WriteFile(c.file+".new", []byte(text), 0o600); err != nil {
		c.t.Fatal(err)
	}
	if err := os.Rename(c.file+".new", c.file); err != nil {
		c.t.Fatal(err)
	}
}

func listens(addr string) bool {
	conn, err := net.Dial("tcp", addr)
	if err != nil {
		return false
	}
	_ = conn.Close()
	return true
}

// pod starts a queue-proxy whose app does not run yet. Its revision is rev, unless more sets another one.
func (c *cluster) pod(name string, more ...string) *pod {
	c.t.Helper()
	ports := make([]string, 5)
	for i := range ports {
		ports[i] = strconv.Itoa(freePort(c.t))
	}
	p := &pod{t: c.t, name: name, dir: c.dir, addr: "127.0.0.1:" + ports[0], appPort: atoi(ports[1])}
	p.env = append(append(os.Environ(), // the variables of Knative's controller, and ports for several queue-proxies on one machine
		"CONTAINER_CONCURRENCY="+strconv.Itoa(podLimit), "QUEUE_SERVING_PORT="+ports[0], "USER_PORT="+ports[1],
		"REVISION_TIMEOUT_SECONDS=60", "REVISION_RESPONSE_START_TIMEOUT_SECONDS=0", "SERVING_LOGGING_CONFIG=", "SERVING_LOGGING_LEVEL=",
		"SERVING_NAMESPACE=default", "SERVING_CONFIGURATION=rev", "SERVING_REVISION=rev",
		"SERVING_POD="+name, "SERVING_POD_IP=127.0.0.1",
		`SERVING_READINESS_PROBE={"tcpSocket":{"host":"127.0.0.1","port":`+ports[1]+`},"successThreshold":1}`,
		"SLUICE_BIND_ADDRESS=127.0.0.1", "SLUICE_ADMIN_PORT="+ports[2], "SLUICE_STATS_PORT="+ports[3],
		"SLUICE_METRICS_PORT="+ports[4], "SLUICE_DRAIN_QUIET=1s", "SLUICE_DRAIN_IDLE=200ms",
	), more...)
	p.startQueueProxy(c)
	return p
}

func (p *pod) startQueueProxy(c *cluster) {
	c.t.Helper()
	cmd := exec.Command(filepath.Join(c.dir, "queue-proxy"))
	cmd.Env = p.env
	p.qp = c.launch("queue-proxy-"+p.name, cmd)
	eventually(c.t, "the queue-proxy listens", func() bool { return listens(p.addr) })
}

func (p *pod) startApp(c *cluster, env ...string) {
	cmd := exec.Command(filepath.Join(p.dir, "app"))
	cmd.Env = append(append(os.Environ(), "PORT="+strconv.Itoa(p.appPort), "APP_DIR="+p.dir, "K_REVISION="+p.name), env...)
	p.app = c.launch("app-"+p.name, cmd)
}
