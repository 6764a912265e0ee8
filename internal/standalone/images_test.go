package standalone

import (
	"archive/tar"
	"bytes"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/sluice-proxy/sluice/internal/standalone/containers"
)

// podman has the settings of a machine of its own: images and containers in a directory of the test. It skips the test where
// podman can't run containers.
func podman(t *testing.T) (image string) {
	t.Helper()
	if _, err := exec.LookPath("podman"); err != nil {
		t.Skip("there is no podman")
	}
	dir, err := os.MkdirTemp("", "pod") // not t.TempDir: with a long path podman takes 20 s to see that a container has ended
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := os.RemoveAll(dir); err != nil {
			t.Error(err)
		}
	})
	write := func(name, text string) string {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	// runc, unlike crun, runs with cgroups of both versions at once; and the limits are those that need no privilege.
	t.Setenv("CONTAINERS_CONF", write("containers.conf", "[containers]\ndefault_ulimits = [\"nofile=1024:1024\", \"nproc=1024:1024\"]\n[engine]\nruntime = \"runc\"\ncgroup_manager = \"cgroupfs\"\n"))
	t.Setenv("CONTAINERS_STORAGE_CONF", write("storage.conf", fmt.Sprintf("[storage]\ndriver = \"overlay\"\ngraphroot = %q\nrunroot = %q\n", filepath.Join(dir, "graph"), filepath.Join(dir, "run"))))
	run := func(args ...string) string {
		out, err := exec.Command("podman", args...).CombinedOutput()
		if err != nil {
			t.Fatalf("podman %q: %v\n%s", args, err, out)
		}
		return string(out)
	}
	t.Cleanup(func() {
		if left := run("ps", "--all", "--quiet"); left != "" {
			t.Errorf("containers are left: %s", left)
			run("rm", "--all", "--force", "--time", "0")
		}
		run("rmi", "--all", "--force") // and with them the mounts in the directory
	})
	app := filepath.Join(dir, "app")
	build := exec.Command("go", "build", "-o", app, "./testdata/app")
	build.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	program, err := os.ReadFile(app)
	if err != nil {
		t.Fatal(err)
	}
	var layer bytes.Buffer
	w := tar.NewWriter(&layer)
	err = w.WriteHeader(&tar.Header{Name: "app", Mode: 0o755, Size: int64(len(program))})
	if err == nil {
		_, err = w.Write(program)
	}
	if err == nil {
		err = w.Close()
	}
	if err != nil {
		t.Fatal(err)
	}
	const name = "localhost/app:v1"
	run("import", "--change", `ENTRYPOINT ["/app"]`, write("layer.tar", layer.String()), name)
	if out, err := exec.Command("podman", "run", "--rm", name, "nothing").CombinedOutput(); err != nil {
		t.Skipf("podman can't run a container here: %v: %s", err, out)
	}
	return name
}

// ownNetwork is set in the process of TestContainers that has a network of its own.
const ownNetwork = "SLUICE_OWN_NETWORK"

// inOwnNetwork runs this test in a process with a network of its own: podman's bridge comes and goes with its containers, and
// browsers, of other tests too, give up their requests when the machine's network changes.
func inOwnNetwork(t *testing.T) {
	t.Helper()
	script := `ip link set lo up && exec "$0" "$@"`
	cmd := exec.Command("unshare", "--net", "sh", "-c", script, os.Args[0], "-test.run=^"+t.Name()+"$", "-test.v", "-test.timeout=10m")
	cmd.Env = append(os.Environ(), ownNetwork+"=1")
	out, err := cmd.CombinedOutput()
	switch text := string(out); {
	case err != nil && !strings.Contains(text, "=== RUN"):
		t.Skipf("no network namespace can be made here: %v: %s", err, text)
	case err != nil:
		t.Errorf("%v\n%s", err, text)
	case strings.Contains(text, "--- SKIP"):
		t.Skip(text)
	}
}

// Images in podman, from the pull to what a killed quickstart leaves.
func TestContainers(t *testing.T) {
	if os.Getenv(ownNetwork) == "" {
		inOwnNetwork(t)
		return
	}
	image := podman(t)
	t.Run("has what its manifest says", func(t *testing.T) { testContainerHas(t, image) })
	t.Run("two replicas with one containerPort", func(t *testing.T) { testContainersOfOnePort(t, image) })
	t.Run("slow to listen, and stubborn", func(t *testing.T) { testSlowContainer(t, image) })
	t.Run("probed by a program", func(t *testing.T) { testContainerProbes(t, image) })
	t.Run("restarted", func(t *testing.T) { testContainerRestarts(t, image) })
	t.Run("with sidecars", func(t *testing.T) { testContainersOfAPod(t, image) })
	t.Run("with sidecars that begin before it", func(t *testing.T) { testContainersOfAnInitContainer(t, image) })
	t.Run("beside a command", func(t *testing.T) { testContainerBesideACommand(t, image) })
	t.Run("a source", func(t *testing.T) { testContainersOfASource(t, image) })
	t.Run("without an image", func(t *testing.T) { testNoImage(t) })
	t.Run("an image that comes later", func(t *testing.T) { testImageThatComesLater(t, image) })
	t.Run("left by a killed quickstart", func(t *testing.T) { testSweep(t, image) })
}

// oneContainer is a Service box of one container with more fields.
func oneContainer(image, fields string) string {
	return serviceOf("box", "      containers:\n      - image: "+image+"\n"+fields)
}

// atLeast is a manifest with a min-scale.
func atLeast(replicas int, manifest string) string {
	return strings.Replace(manifest, "annotations: {", fmt.Sprintf("annotations: {autoscaling.knative.dev/min-scale: %q, ", strconv.Itoa(replicas)), 1)
}

// boxOf runs a manifest in podman.
func boxOf(t *testing.T, manifest string) *world {
	w := newWorld(t, manifest)
	w.config.Runtime = containers.Podman
	return w.start()
}

// names are those of all containers.
func names(t *testing.T) []string {
	t.Helper()
	out, err := exec.Command("podman", "ps", "--all", "--format", "{{.Names}}").Output()
	if err != nil {
		t.Fatal(err)
	}
	return strings.Fields(string(out))
}

// Each replica is published on a port of its own, so that the app may listen on the one of its manifest.
func testContainersOfOnePort(t *testing.T, image string) {
	w := boxOf(t, atLeast(2, oneContainer(image, "        args: [fixed, \":7777\"]\n        ports: [{containerPort: 7777}]\n")))
	w.sees("replicas 2/2")
	if got, err := w.get("box"); err != nil || !strings.HasPrefix(got, "200 ") {
		t.Errorf("%q, %v", got, err)
	}
	if all := names(t); len(all) != 2 || !strings.HasPrefix(all[0], "box-00001-") || !strings.HasSuffix(all[0], "-user-container") {
		t.Errorf("%q", all)
	}
}

// A request waits for an app that takes its time, although its port is published; an app that ignores SIGTERM is killed.
func testSlowContainer(t *testing.T, image string) {
	w := boxOf(t, oneContainer(image, "        args: [slow, 1s]\n")+"      terminationGracePeriodSeconds: 1\n")
	if got, err := w.get("box"); err != nil || !strings.HasPrefix(got, "200 ") {
		t.Errorf("%q, %v", got, err)
	}
	w.end()
	if all := names(t); len(all) > 0 {
		t.Errorf("left: %q", all)
	}
}

// The program of a probe runs inside the container.
func testContainerProbes(t *testing.T, image string) {
	w := boxOf(t, atLeast(1, oneContainer(image, "        args: [serve]\n        readinessProbe: {exec: {command: [/app, write, /ready, x]}}\n"+
		"        livenessProbe: {exec: {command: [/app, fail, unwell]}, initialDelaySeconds: 3, periodSeconds: 1, failureThreshold: 1}\n")))
	if got, err := w.get("box"); err != nil || !strings.HasPrefix(got, "200 ") {
		t.Errorf("%q, %v", got, err)
	}
	w.sees("the app is restarted: its liveness probe failed 1 times: exit status 1: unwell")
}

// An app that ends is started again, in a new container of the same name.
func testContainerRestarts(t *testing.T, image string) {
	w := boxOf(t, oneContainer(image, "        args: [fail, no database]\n"))
	go func() { _, _ = w.get("box") }()
	w.sees("app | no database", "the app ended: exit status 1: no database; next start in 100ms", "CrashLoopBackOff: the app ended: exit status 1: no database")
	w.write(oneContainer("/no/such/image", ""))
	w.sees("sluice: manifests applied")
}

// calling is a Service box with more of a pod's fields, whose app answers with what its sidecar says.
func calling(image, more string) string {
	return atLeast(1, serviceOf("box", "      containers:\n      - image: "+image+"\n        args: [call, 'http://127.0.0.1:9999']\n        ports: [{containerPort: 7777}]\n"+more))
}

// answers waits for an answer with texts.
func (w *world) answers(texts ...string) {
	w.t.Helper()
	got := ""
	w.eventually(fmt.Sprint(texts), func() bool {
		got, _ = w.get("box")
		return !slices.ContainsFunc(texts, func(text string) bool { return !strings.Contains(got, text) })
	})
}

// The containers of a replica share localhost; each has its own environment, volumes, user, probes and log.
func testContainersOfAPod(t *testing.T, image string) {
	w := boxOf(t, calling(image, "        volumeMounts: [{name: tmp, mountPath: /data}]\n"+
		"      - name: side\n        image: "+image+"\n        args: [fixed, ':9999']\n        env: [{name: GREETING, value: from the side}]\n"+
		"        securityContext: {runAsUser: 1234, readOnlyRootFilesystem: true}\n        volumeMounts: [{name: tmp, mountPath: /cache}]\n"+
		"        resources: {limits: {memory: 64Mi}}\n"+
		"        readinessProbe: {tcpSocket: {port: 9999}}\n        livenessProbe: {httpGet: {path: /, port: 9999}}\n"+
		"      - name: other\n        image: "+image+"\n        command: [/app, slow, 1s]\n        env: [{name: PORT, value: '9998'}]\n        startupProbe: {httpGet: {port: 9998}}\n"+
		"      volumes: [{name: tmp, emptyDir: {}}]\n      terminationGracePeriodSeconds: 2\n"))
	w.answers("200 args: [\"/app\" \"fixed\" \":9999\"]", `GREETING: "from the side"`, "user: 1234:0", "write /x: read-only file system", "write /cache/x: ok", "memory: 67108864")
	if all := names(t); len(all) != 3 {
		t.Errorf("%q", all)
	}
	w.sees("sidecar side | listens on :9999", "sidecar other | listens on :9998", "app | listens on :7777")
	if out := w.out.String(); strings.Contains(out, "is restarted: ") || strings.Contains(out, "ended: ") {
		t.Error("something ended")
	}
	if got, err := w.send(http.MethodPost, "box", ""); err != nil || strings.HasPrefix(got, "200 ") {
		t.Errorf("%q, %v", got, err)
	}
	w.sees("the app ended: exit status 3", "the sidecar side is started again with the app, whose network it shares", "the sidecar other is started again with the app")
	w.answers(`GREETING: "from the side"`)
	w.end()
	if all := names(t); len(all) > 0 {
		t.Errorf("left: %q", all)
	}
}

// A sidecar that is an init container has the network, also for the init containers after it.
func testContainersOfAnInitContainer(t *testing.T, image string) {
	w := boxOf(t, calling(image, "      initContainers:\n      - {name: before, image: "+image+", args: [write, /x, x]}\n"+
		"      - {name: side, restartPolicy: Always, image: "+image+", args: [call, 'http://127.0.0.1:9997'], env: [{name: PORT, value: '9999'}],\n"+
		"         livenessProbe: {exec: {command: [/app, fail, unwell]}, initialDelaySeconds: 6, periodSeconds: 1, failureThreshold: 1}}\n"+
		"      - {name: once, image: "+image+", args: [get, 'http://127.0.0.1:9999']}\n"+
		"      - {name: far, restartPolicy: Always, image: "+image+", args: [fixed, ':9997'], env: [{name: GREETING, value: from afar}]}\n"))
	w.sees("init container once | got 502 Bad Gateway")
	w.answers(`GREETING: "from afar"`)
	w.sees("the init container side is restarted: its liveness probe failed", "the app is started again with the init container side, whose network it shares")
	w.answers(`GREETING: "from afar"`)
}

// A sidecar in a container shares the machine's network with an app that is a command.
func testContainerBesideACommand(t *testing.T, image string) {
	app := filepath.Join(t.TempDir(), "app")
	if out, err := exec.Command("go", "build", "-o", app, "./testdata/app").CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	w := boxOf(t, strings.Replace(calling(image, "      - {name: side, image: "+image+", args: [fixed, '127.0.0.1:9999'], env: [{name: GREETING, value: from the side}], readinessProbe: {tcpSocket: {port: 9999}}}\n"),
		"- image: "+image+"\n        args", "- command: ["+app+"]\n        args", 1))
	w.answers(`GREETING: "from the side"`)
	if got, err := w.send(http.MethodPost, "box", ""); err != nil || strings.HasPrefix(got, "200 ") {
		t.Errorf("%q, %v", got, err)
	}
	w.sees("the app ended: exit status 3")
	w.answers(`GREETING: "from the side"`)
	if strings.Contains(w.out.String(), "sidecar side is") {
		t.Error("the sidecar ended")
	}
}

// A source has what its manifest says, reaches its sink, which is on this machine, and is gone with the quickstart.
func testContainersOfASource(t *testing.T, image string) {
	got := make(chan string, 1)
	sink := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		if err != nil {
			t.Error(err)
		}
		select {
		case got <- r.Header.Get("Ce-Type") + " " + string(body):
		case <-t.Context().Done():
		}
	}))
	defer sink.Close()
	const broker = "{ref: {apiVersion: eventing.knative.dev/v1, kind: Broker, name: events}}"
	w := withAPI(t, "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: cfg}\ndata: {app.conf: level=debug}\n"+
		eventingObject("Broker", "events", "{}")+eventingObject("Trigger", "all", "{broker: events, subscriber: {uri: '"+sink.URL+"'}}")+
		eventingObject("ContainerSource", "box", `
  ceOverrides: {extensions: {from: box}}
  sink: `+broker+`
  template:
    spec:
      initContainers: [{name: prepare, image: `+image+`, args: [write, /cache/made, before], volumeMounts: [{name: tmp, mountPath: /cache}]}]
      containers:
      - image: `+image+`
        args: [post, $(K_SINK)]
        env: [{name: GREETING, value: hi there}]
        securityContext: {runAsUser: 1234, readOnlyRootFilesystem: true}
        resources: {limits: {memory: 64Mi}}
        volumeMounts: [{name: tmp, mountPath: /cache}, {name: cfg, mountPath: /etc/cfg}]
      - {name: side, image: `+image+`, args: [fixed, '127.0.0.1:9999']}
      volumes: [{name: tmp, emptyDir: {}}, {name: cfg, configMap: {name: cfg}}]
`))
	w.config.Runtime = containers.Podman
	w.start()
	text := ""
	w.eventually("an event comes", func() bool {
		select {
		case text = <-got:
		default:
		}
		return text != ""
	})
	for _, want := range []string{
		"told args: ", `GREETING: "hi there"`, `K_CE_OVERRIDES: "{\"extensions\":{\"from\":\"box\"}}"`, "user: 1234:0", `/cache/made: "before"`,
		`/etc/cfg/app.conf: "level=debug"`, "write /x: read-only file system", "write /cache/x: ok", "memory: 67108864",
	} {
		if !strings.Contains(text, want) {
			t.Errorf("missing: %s\nin %s", want, text)
		}
	}
	w.sees("box-1-", "app | got 202 Accepted", "sidecar side | listens on 127.0.0.1:9999")
	w.eventually("ready", func() bool { return w.condition(containerSources, "box", "Ready") == "True" })
	list, err := w.resource(pods).List(t.Context(), metav1.ListOptions{LabelSelector: "sources.knative.dev/containerSource=box"})
	if err != nil || len(list.Items) != 1 {
		t.Errorf("pods %v, %v", list, err)
	}
	if strings.Contains(w.out.String(), "ignored here") || strings.Contains(w.out.String(), "not mounted") {
		t.Error("what the containers have is said to be ignored")
	}
	if all := names(t); len(all) != 2 || !strings.HasPrefix(all[0], "box-1-") {
		t.Errorf("%q", all)
	}
	w.write(eventingObject("ContainerSource", "box", "{sink: "+broker+", template: {spec: {containers: [{image: '127.0.0.1:1/none:v1'}]}}}") + eventingObject("Broker", "events", "{}"))
	w.sees("ContainerSource box is not ready: image 127.0.0.1:1/none:v1 can't be pulled: ")
	w.end()
	if all := names(t); len(all) > 0 {
		t.Errorf("left: %q", all)
	}
}

// The engine's error is the reason.
func testNoImage(t *testing.T) {
	w := boxOf(t, oneContainer("127.0.0.1:1/none:v1", "")+serviceOf("never", "      containers:\n      - {image: 'localhost/none:v1', imagePullPolicy: Never}\n"))
	got, err := w.get("box")
	if err != nil || !strings.HasPrefix(got, "503 box-00001: image 127.0.0.1:1/none:v1 can't be pulled: ") || !strings.Contains(got, "connection refused") {
		t.Errorf("%q, %v", got, err)
	}
	w.sees("box-00001: pulling 127.0.0.1:1/none:v1 with podman", "a replica failed: image 127.0.0.1:1/none:v1 can't be pulled: ", "the next one in 400ms")
	got, err = w.get("never")
	if err != nil || !strings.HasPrefix(got, "503 never-00001: image localhost/none:v1 isn't here, and its imagePullPolicy is Never") {
		t.Errorf("%q, %v", got, err)
	}
}

// A revision whose image can't be pulled says so before there are requests, and the previous one serves. When the image is there, it is
// ready, without a replica.
func testImageThatComesLater(t *testing.T, image string) {
	registry := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path != "/v2/" { // the registry is there, and the image isn't
			http.NotFound(w, r)
		}
	}))
	defer registry.Close()
	host := strings.TrimPrefix(registry.URL, "http://")
	conf := filepath.Join(t.TempDir(), "registries.conf")
	if err := os.WriteFile(conf, fmt.Appendf(nil, "[[registry]]\nlocation = %q\ninsecure = true\n", host), 0o600); err != nil {
		t.Fatal(err)
	}
	t.Setenv("CONTAINERS_REGISTRIES_CONF", conf)
	tag := func(name string) {
		t.Helper()
		if out, err := exec.Command("podman", "tag", image, name).CombinedOutput(); err != nil {
			t.Fatalf("%v: %s", err, out)
		}
	}
	w := withAPI(t, oneContainer(host+"/first:v1", "        args: [serve]\n"))
	w.config.Runtime = containers.Podman
	w.start()
	missing := func(revision, name string) {
		t.Helper()
		w.eventually(revision+" isn't ready", func() bool {
			return strings.HasPrefix(w.condition(revisions, revision, "ContainerHealthy"), "False ContainerMissing image "+name+" can't be pulled: ")
		})
		if got := w.condition(revisions, revision, "Ready"); !strings.HasPrefix(got, "False ContainerMissing image ") || !strings.Contains(got, "manifest unknown") && !strings.Contains(got, "404") {
			t.Errorf("%s is Ready %s", revision, got)
		}
		w.eventually("the service isn't ready", func() bool {
			return strings.HasPrefix(w.condition(services, "box", "ConfigurationsReady"), `False RevisionFailed Revision "`+revision+`" failed with message: image `+name)
		})
	}
	missing("box-00001", host+"/first:v1")
	tag(host + "/first:v1")
	w.eventually("it is ready", func() bool { return w.condition(services, "box", "Ready") == "True" })
	if all := names(t); len(all) > 0 {
		t.Errorf("replicas without a request: %q", all)
	}

	w.write(oneContainer(host+"/second:v1", "        args: [serve]\n"))
	w.sees("sluice: manifests applied")
	missing("box-00002", host+"/second:v1")
	if got := w.field(services, "box", "status", "latestReadyRevisionName"); got != "box-00001" {
		t.Errorf("%s serves", got)
	}
	if got, err := w.get("box"); err != nil || !strings.Contains(got, `K_REVISION: "box-00001"`) {
		t.Errorf("%q, %v", got, err)
	}
	tag(host + "/second:v1")
	w.eventually("the new one serves", func() bool {
		got, err := w.get("box")
		return err == nil && strings.Contains(got, `K_REVISION: "box-00002"`)
	})
}

// What is left when a quickstart and its supervisors are killed together is removed by the next one.
func testSweep(t *testing.T, image string) {
	ended := exec.Command("true")
	if err := ended.Run(); err != nil {
		t.Fatal(err)
	}
	host, err := os.Hostname()
	if err != nil {
		t.Fatal(err)
	}
	label := fmt.Sprintf("%s=%s/%d", containers.Label, host, ended.Process.Pid)
	for _, c := range [][2]string{{"left", "bridge"}, {"beside", containers.NetworkOf("left")}} {
		if out, err := exec.Command("podman", "run", "--detach", "--name", c[0], "--network", c[1], "--label", label, image, "serve").CombinedOutput(); err != nil {
			t.Fatalf("%v: %s", err, out)
		}
	}
	w := boxOf(t, oneContainer(image, "        args: [serve]\n"))
	w.eventually("they are removed", func() bool { all := names(t); return !slices.Contains(all, "left") && !slices.Contains(all, "beside") })
}

// A container is served from zero, has what its manifest says, and is gone with its replica.
func testContainerHas(t *testing.T, image string) {
	w := boxOf(t, `apiVersion: v1
kind: ConfigMap
metadata: {name: cfg}
data: {app.conf: "level=debug"}
`+serviceOf("box", `      securityContext: {runAsUser: 1234}
      initContainers:
      - name: prepare
        image: `+image+`
        args: [write, /cache/made, before]
        volumeMounts: [{name: tmp, mountPath: /cache}]
      containers:
      - image: `+image+`
        args: [serve, $(GREETING)]
        ports: [{containerPort: 9000}]
        env: [{name: GREETING, value: hi there}, {name: PATH, value: /nowhere}, {name: HOME, value: "/a\nb"}]
        securityContext: {readOnlyRootFilesystem: true, runAsGroup: 5678}
        resources: {limits: {memory: 64Mi, cpu: 500m}}
        volumeMounts:
        - {name: tmp, mountPath: /cache}
        - {name: cfg, mountPath: /etc/cfg}
      volumes:
      - {name: tmp, emptyDir: {}}
      - {name: cfg, configMap: {name: cfg}}
`))
	got, err := w.get("box")
	if err != nil || !strings.HasPrefix(got, "200 ") {
		t.Fatalf("%q, %v", got, err)
	}
	for _, want := range []string{
		`args: ["/app" "serve" "hi there"]`, `PORT: "9000"`, `PATH: "/nowhere"`, `HOME: "/a\nb"`, `K_SERVICE: "box"`, "user: 1234:5678",
		`/cache/made: "before"`, `/etc/cfg/app.conf: "level=debug"`, "write /x: read-only file system", "write /etc/cfg/x: read-only file system", "write /cache/x: ok", "memory: 67108864",
	} {
		if !strings.Contains(got, want) {
			t.Errorf("missing: %s\nin %s", want, got)
		}
	}
	if strings.Contains(w.out.String(), "ignored here") || strings.Contains(w.out.String(), "not mounted") {
		t.Error("what the container has is said to be ignored")
	}
	w.eventually("it is at zero", func() bool {
		rows := strings.Split(w.out.String(), "service box: ")
		return strings.Contains(rows[len(rows)-1], "replicas 0/0")
	})
}
