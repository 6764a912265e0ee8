package standalone

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/sluice-proxy/sluice/internal/standalone/manifest"
	"github.com/sluice-proxy/sluice/internal/standalone/replica"
	"github.com/sluice-proxy/sluice/throttler"
)

// serviceOf is a Service with a whole pod spec, indented by six spaces.
func serviceOf(name, pod string) string {
	return "---\napiVersion: serving.knative.dev/v1\nkind: Service\nmetadata: {name: " + name + "}\nspec:\n  template:\n" +
		"    metadata:\n      labels: {tier: web}\n      annotations: {example.com/team: blue}\n    spec:\n" + pod
}

const helloImage = "ghcr.io/knative/helloworld-go:latest"

// A real app gets its environment from ConfigMaps, Secrets and what its replica is.
func TestQ1EnvironmentFromConfigMapsAndSecrets(t *testing.T) {
	t.Parallel()
	w := newWorld(t, `apiVersion: v1
kind: ConfigMap
metadata: {name: cfg}
data: {GREETED: from-configmap, PORT: "1", NESTED: $(GREETED)}
---
apiVersion: v1
kind: Secret
metadata: {name: sec}
stringData: {PASSWORD: hunter2}
`+serviceOf("env", `      containers:
      - image: `+helloImage+`
        envFrom:
        - configMapRef: {name: cfg}
        - {prefix: S_, secretRef: {name: sec}}
        - configMapRef: {name: absent, optional: true}
        env:
        - {name: PW, valueFrom: {secretKeyRef: {name: sec, key: PASSWORD}}}
        - {name: NONE, valueFrom: {secretKeyRef: {name: sec, key: nothing, optional: true}}}
        - {name: NS, valueFrom: {fieldRef: {fieldPath: metadata.namespace}}}
        - {name: TIER, valueFrom: {fieldRef: {fieldPath: "metadata.labels['tier']"}}}
        - {name: TEAM, valueFrom: {fieldRef: {fieldPath: "metadata.annotations['example.com/team']"}}}
        - {name: TARGET, value: $(GREETED) $(S_PASSWORD) $(PW) $(NONE) $(NS) $(TIER) $(TEAM) $(NESTED) $$(PW)}
`)).start()
	w.gets("env", "200 Hello from-configmap hunter2 hunter2 $(NONE) default web blue $(GREETED) $(PW)!\n")
}

// A missing object keeps one service from starting, and no other. The screen shows it; the object may be added later.
func TestQ1MissingConfigMapIsWaitedFor(t *testing.T) {
	t.Parallel()
	waits := serviceOf("waits", "      containers:\n      - image: "+helloImage+"\n        env:\n        - {name: TARGET, valueFrom: {configMapKeyRef: {name: cfg, key: who}}}\n")
	w := newWorld(t, waits+service("other", "", "Other", "")).start()
	w.sees("sluice: waits: replicas wait for what is missing: "+w.file+":14: ConfigMap cfg of namespace default doesn't exist: create it, with kubectl or in a file of -f",
		"service waits: not ready, latest waits-00001, replicas 0/0, http://waits.default.localhost:")
	w.gets("other", "200 Hello Other!\n")
	if got, err := w.get("waits"); err != nil || !strings.HasPrefix(got, "503 waits-00001: "+w.file+":14: field spec.template.spec.containers[0].env[0].valueFrom: ConfigMap cfg") {
		t.Errorf("%q, %v", got, err)
	}
	w.server.post(func() { // as after many failures: that it is here now ends the back-off
		r := w.server.revisions[throttler.RevisionID{Namespace: "default", Name: "waits-00001"}]
		r.failures, r.notBefore = 20, time.Now().Add(time.Hour)
	})
	w.write(waits + service("other", "", "Other", "") + "---\napiVersion: v1\nkind: ConfigMap\nmetadata: {name: cfg}\ndata: {who: World}\n")
	w.eventually("it serves", func() bool { got, _ := w.get("waits"); return got == "200 Hello World!\n" })
	if strings.Contains(w.out.String(), "waits-00002") {
		t.Error("a ConfigMap made a revision")
	}
	w.eventually("it is at zero", func() bool {
		rows := strings.Split(w.out.String(), "service waits: ")
		return strings.Contains(rows[len(rows)-1], "replicas 0/0")
	})
	w.write(waits + service("other", "", "Other", "") + "---\napiVersion: v1\nkind: ConfigMap\nmetadata: {name: cfg}\ndata: {who: Else}\n")
	w.sees("ConfigMap cfg has changed: replicas that start from now on get the new data")
	w.eventually("a replica that starts reads it", func() bool { got, _ := w.get("waits"); return got == "200 Hello Else!\n" })
}

// Volumes are directories of the replica that its containers share, and are gone with it.
func TestQ1Volumes(t *testing.T) {
	t.Parallel()
	seen := filepath.Join(t.TempDir(), "seen")
	w := newWorld(t, strings.Replace(`apiVersion: v1
kind: ConfigMap
metadata: {name: cfg}
data: {app.conf: "level=debug\n", run.sh: "echo ran"}
---
apiVersion: v1
kind: Secret
metadata: {name: sec}
data: {password: aHVudGVyMg==}
`+serviceOf("vol", `      initContainers:
      - name: copy
        image: example.com/copy
        command: [sh, -c, 'cat $SLUICE_MOUNT_ETC_CFG/app.conf > $SLUICE_MOUNT_CACHE/out; $SLUICE_MOUNT_ETC_CFG/bin/run >> $SLUICE_MOUNT_CACHE/out']
        volumeMounts: [{name: cfg, mountPath: /etc/cfg}, {name: tmp, mountPath: /cache}]
      containers:
      - image: `+helloImage+`
        ports: [{containerPort: 8080}]
        env: [{name: TARGET, value: x}]
      - name: show
        image: example.com/show
        args: [$(SLUICE_MOUNT_SECRET)]
        command: [sh, -c, 'cat $SLUICE_MOUNT_CACHE/out $SLUICE_MOUNT_ALL_LABELS; stat -c %a $0/deep/pw; cat $0/deep/pw; echo; echo $SLUICE_MOUNT_CACHE > `+seen+`; ls $SLUICE_MOUNT_SUB; exec sleep 1000']
        volumeMounts:
        - {name: tmp, mountPath: /cache}
        - {name: sec, mountPath: /secret/}
        - {name: all, mountPath: /all/labels, subPath: labels}
        - {name: tmp, mountPath: /sub, subPathExpr: of/$(K_SERVICE)}
      volumes:
      - name: cfg
        configMap: {name: cfg, items: [{key: app.conf, path: app.conf}, {key: run.sh, path: bin/run, mode: 0755}]}
      - {name: tmp, emptyDir: {}}
      - {name: sec, secret: {secretName: sec, defaultMode: 0400, items: [{key: password, path: deep/pw}]}}
      - name: all
        projected:
          sources:
          - downwardAPI: {items: [{path: labels, fieldRef: {fieldPath: metadata.labels}}]}
          - configMap: {name: nowhere, optional: true}
`), "annotations: {", "annotations: {autoscaling.knative.dev/min-scale: '1', ", 1)).start()
	w.sees("volumes are not mounted; variables have their directories: $SLUICE_MOUNT_ETC_CFG for /etc/cfg, $SLUICE_MOUNT_CACHE for /cache")
	w.gets("vol", "200 Hello x!\n")
	w.sees("sidecar show | level=debug", "sidecar show | ran", `sidecar show | serving.knative.dev/service="vol"`, `sidecar show | tier="web"`,
		"sidecar show | 400", "sidecar show | hunter2")
	var dir []byte
	w.eventually("the directory of a volume", func() bool { dir, _ = os.ReadFile(seen); return len(dir) > 0 })
	place := filepath.Dir(strings.TrimSpace(string(dir)))
	if info, err := os.Stat(place); err != nil || info.Mode().Perm() != 0o700 {
		t.Errorf("%s: %v, %v", place, info, err)
	}
	w.end()
	if _, err := os.Stat(place); !os.IsNotExist(err) {
		t.Errorf("%s is left: %v", place, err)
	}
}

// A liveness probe that fails has the app restarted, within the same replica.
func TestQ1LivenessProbeRestarts(t *testing.T) {
	t.Parallel()
	broken := filepath.Join(t.TempDir(), "broken")
	w := newWorld(t, strings.Replace(serviceOf("live", `      containers:
      - image: `+helloImage+`
        env: [{name: TARGET, value: x}, {name: BROKEN, value: `+broken+`}]
        livenessProbe:
          exec: {command: [sh, -c, 'if [ -e $BROKEN ]; then rm $BROKEN; echo no heartbeat; exit 1; fi']}
          periodSeconds: 1
          failureThreshold: 1
          timeoutSeconds: 30
          terminationGracePeriodSeconds: 20
`), "annotations: {", "annotations: {autoscaling.knative.dev/min-scale: '1', ", 1)).start()
	w.gets("live", "200 Hello x!\n")
	if err := os.WriteFile(broken, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	w.sees("the app is restarted: its liveness probe failed 1 times: exit status 1: no heartbeat", "the app ended: ",
		", because its liveness probe failed 1 times: exit status 1: no heartbeat; next start in ")
	w.gets("live", "200 Hello x!\n")
	if strings.Contains(w.out.String(), "a replica failed") {
		t.Error("the replica went")
	}
}

// Until its startup probe succeeds an app gets no requests; one whose time is over is restarted.
func TestQ1StartupProbeHoldsRequests(t *testing.T) {
	t.Parallel()
	started := filepath.Join(t.TempDir(), "started")
	w := newWorld(t, serviceOf("slow", `      containers:
      - image: `+helloImage+`
        env: [{name: TARGET, value: x}]
        startupProbe: {exec: {command: [test, -e, `+started+`]}, periodSeconds: 1, failureThreshold: 1, timeoutSeconds: 1}
        livenessProbe: {httpGet: {path: /, port: 8080}, periodSeconds: 1}
`)).start()
	answer := make(chan string, 1)
	go func() { got, err := w.get("slow"); answer <- fmt.Sprint(got, err) }()
	w.sees("the app is restarted: its startup probe failed for 1s: ")
	select {
	case got := <-answer:
		if !strings.HasPrefix(got, "503 slow-00001: ") { // several restarts are a crash loop
			t.Errorf("answered before it had started: %s", got)
		}
	default:
	}
	if err := os.WriteFile(started, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	w.eventually("it serves", func() bool { got, _ := w.get("slow"); return got == "200 Hello x!\n" })
}

// Readiness may be a program's word, and a container's beside the app.
func TestQ1ReadinessOfAProgramAndOfASidecar(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	app, side := filepath.Join(dir, "app"), filepath.Join(dir, "side")
	w := newWorld(t, strings.Replace(serviceOf("ready", `      containers:
      - image: `+helloImage+`
        ports: [{name: http1, containerPort: 9000}]
        env: [{name: TARGET, value: x}]
        readinessProbe: {exec: {command: [test, -e, `+app+`]}, periodSeconds: 1, failureThreshold: 1}
      - name: side
        image: example.com/side
        command: [sleep, '1000']
        readinessProbe: {exec: {command: [test, -e, `+side+`]}, periodSeconds: 1, failureThreshold: 1}
`), "annotations: {", "annotations: {autoscaling.knative.dev/min-scale: '1', ", 1)).start()
	w.sees("service ready: not ready, latest ready-00001, replicas 1/1")
	for _, f := range []string{app, side} {
		if got := strings.Contains(w.out.String(), "service ready: ready"); got {
			t.Errorf("ready before %s", f)
		}
		if err := os.WriteFile(f, nil, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	w.gets("ready", "200 Hello x!\n")
	w.sees("service ready: ready, latest ready-00001, replicas 1/1")
	if err := os.Remove(side); err != nil {
		t.Fatal(err)
	}
	w.sees("not ready: the readiness probe of the sidecar side fails: exit status 1")
	if err := os.WriteFile(side, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	w.gets("ready", "200 Hello x!\n")
}

// A Service is served and changed beside whatever else stands in its directory; a mistake anywhere keeps what is.
func TestQ2AnEditIsAppliedBesideOtherKinds(t *testing.T) {
	t.Parallel()
	w := newWorld(t, service("hello", "", "World", ""))
	dir := filepath.Dir(w.file)
	w.config.Files = []string{dir}
	write := func(name, text string) {
		t.Helper()
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	write("kustomization.yaml", "resources: [s.yaml]\n")
	write("others.yaml", "apiVersion: v1\nkind: Namespace\nmetadata: {name: shop}\n---\napiVersion: eventing.knative.dev/v1\nkind: Broker\nmetadata: {name: default}\n")
	w.start()
	w.sees("sluice: "+dir+"/others.yaml: not served here: Namespace shop", "/kustomization.yaml: not served here: Kustomization")
	w.gets("hello", "200 Hello World!\n")
	write("cfg.yaml", "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: cfg}\ndata: {a: b}\n")
	w.write(service("hello", "", "Else", ""))
	w.eventually("the edit is applied", func() bool { got, _ := w.get("hello"); return got == "200 Hello Else!\n" })
	write("cfg.yaml", "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: cfg}\ndata: {a: 1}\n")
	w.sees("nothing applied: " + dir + "/cfg.yaml:4: field data.a: should be a string, is 1 without quotes; quote it")
	w.write(service("hello", "", "Third", ""))
	w.eventually("it is said again", func() bool { return strings.Count(w.out.String(), "nothing applied: ") >= 2 })
	w.gets("hello", "200 Hello Else!\n")
	if n := strings.Count(w.out.String(), "not served here: Namespace shop"); n != 1 {
		t.Errorf("said %d times", n)
	}
}

// A file that has just been truncated, as "kustomize build >app.yaml" does a while before it writes, or in which nothing
// can be read any more, ends none of the services that it held. One in which everything is commented out does.
func TestQ2AFileThatIsBeingWrittenEndsNothing(t *testing.T) {
	t.Parallel()
	w := newWorld(t, service("hello", "", "World", ""))
	dir := filepath.Dir(w.file)
	w.config.Files = []string{dir}
	w.start()
	w.gets("hello", "200 Hello World!\n")
	w.write("")
	w.sees("sluice: nothing applied: " + w.file + ":1: is empty now; its services stay until the file is removed")
	w.write("api: [\n")
	w.sees("sluice: nothing applied: "+w.file+":", ": not YAML: ", "; its services stay until the file is removed")
	w.gets("hello", "200 Hello World!\n")
	w.write(service("hello", "", "Else", ""))
	w.eventually("the edit is applied", func() bool { got, _ := w.get("hello"); return got == "200 Hello Else!\n" })
	w.write("# " + strings.ReplaceAll(service("hello", "", "Else", ""), "\n", "\n# "))
	w.sees("service hello: gone", w.file+": holds no manifest")
	w.write("") // it held nothing any more
	w.write(service("hello", "", "Third", ""))
	w.eventually("it is back", func() bool { got, _ := w.get("hello"); return got == "200 Hello Third!\n" })
	if err := os.Remove(w.file); err != nil {
		t.Fatal(err)
	}
	w.eventually("it is gone", func() bool { got, _ := w.get("hello"); return strings.HasPrefix(got, "404 ") })
}

// One line per service sums up what has no meaning here; with -v there is one for each.
func TestQ1IgnoredFieldsAreSaid(t *testing.T) {
	set, err := manifest.Load(manifest.Input{Paths: []string{"manifest/testdata"}})
	if err != nil {
		t.Fatal(err)
	}
	lines := remarker{contained: asProcess}.on(set)
	for _, want := range []string{
		"scheduling: ignored here: nodeSelector, tolerations, affinity, 5 more; -v lists them",
		"987654321/cloudrun: ignored here: run.googleapis.com/cpu-throttling, run.googleapis.com/startup-cpu-boost, serviceAccountName, 2 more; -v lists them",
		"security: ignored here: runAsNonRoot, runAsUser, fsGroup, 3 more; -v lists them",
		"Broker example-broker: ignored here: config; -v lists them",
		"volumes: replicas wait for what is missing: manifest/testdata/volumes.yaml:18: ConfigMap conf of namespace default doesn't exist: create it, with kubectl or in a file of -f",
	} {
		if !slices.Contains(lines, want) {
			t.Errorf("missing: %s\nin %q", want, lines)
		}
	}
	lines = remarker{detail: allFields, contained: asProcess}.on(set)
	if want := "scheduling: ignored here: nodeSelector, tolerations, affinity, "; !slices.ContainsFunc(lines, func(l string) bool {
		return strings.HasPrefix(l, want) && !strings.Contains(l, "more") && strings.Count(l, ", ") == 7
	}) {
		t.Errorf("missing: %s…\nin %q", want, lines)
	}
	lines = remarker{detail: eachField, contained: asProcess}.on(set)
	want := "resources: ignored here: manifest/testdata/resources.yaml:11: field spec.template.spec.containers[0].imagePullPolicy: there is no image to pull for a process"
	if !slices.Contains(lines, want) {
		t.Errorf("missing: %s\nin %q", want, lines)
	}
}

// What a machine can hold is not said to be ignored; what is set apart, and other limits, are.
func TestQ1LimitsThatHoldAreNotIgnored(t *testing.T) {
	set, err := manifest.Load(manifest.Input{Paths: []string{"manifest/testdata/resources.yaml"}})
	if err != nil {
		t.Fatal(err)
	}
	for want, on := range map[string]replica.Cgroups{
		"imagePullPolicy, requests, limits.cpu, 2 more; -v lists them":      {},
		"imagePullPolicy, requests, limits.cpu, 1 more; -v lists them":      {Memory: "/x"},
		"imagePullPolicy, requests, limits[example.com/gpu]; -v lists them": {Memory: "/x", CPU: "/x"},
	} {
		if got := (remarker{cgroups: on, contained: asProcess}).on(set); len(got) != 1 || got[0] != "resources: ignored here: "+want {
			t.Errorf("%+v:\ngot  %q\nwant %s", on, got, want)
		}
	}
}

// A container's limits reach its processes in the kernel's units.
func TestQ1LimitsOfAContainer(t *testing.T) {
	for _, c := range []struct {
		limits string
		want   replica.Limits
	}{
		{"{cpu: 500m, memory: 128Mi}", replica.Limits{Memory: 128 << 20, MemoryText: "128Mi", CPU: 500}},
		{"{cpu: 0.5, memory: 1G}", replica.Limits{Memory: 1e9, MemoryText: "1G", CPU: 500}},
		{"{cpu: 2}", replica.Limits{CPU: 2000}},
		{"{memory: 1e3}", replica.Limits{Memory: 1000, MemoryText: "1k"}},
		{"{}", replica.Limits{}},
	} {
		services, err := manifest.Parse("f", []byte(serviceOf("r", "      containers:\n      - image: i\n        resources: {limits: "+c.limits+"}\n")))
		if err != nil {
			t.Fatal(err)
		}
		if got := limitsOf(&services[0].Template.Container); got != c.want {
			t.Errorf("%s: %+v, want %+v", c.limits, got, c.want)
		}
	}
}

func TestMountVariable(t *testing.T) {
	for path, want := range map[string]string{
		"/etc/cfg": "SLUICE_MOUNT_ETC_CFG", "/var/lib/a-b.c/": "SLUICE_MOUNT_VAR_LIB_A_B_C", "/X9": "SLUICE_MOUNT_X9",
	} {
		if got := mountVariable(path); got != want {
			t.Errorf("%s: %s, want %s", path, got, want)
		}
	}
}

// The downward API divides and rounds up as Kubernetes does.
func TestQ1ResourceFields(t *testing.T) {
	services, err := manifest.Parse("f", []byte(serviceOf("r", `      containers:
      - image: i
        resources: {limits: {cpu: 1500m, memory: 100Mi}, requests: {cpu: 250m}}
`)))
	if err != nil {
		t.Fatal(err)
	}
	r := *sample
	r.Template = services[0].Template
	i := &instance{Revision: &r}
	for _, c := range []struct{ path, divisor, want string }{
		{"limits.cpu", "", "2"},
		{"limits.cpu", "1m", "1500"},
		{"requests.cpu", "", "1"},
		{"requests.cpu", "1m", "250"},
		{"limits.memory", "1Mi", "100"},
		{"limits.memory", "1Gi", "1"},
		{"requests.memory", "1", "104857600"}, // the limit
		{"limits.memory", "0", "104857600"},
		{"requests.ephemeral-storage", "", "0"},
	} {
		s := &manifest.Source{Kind: manifest.FromResource, Path: c.path, Divisor: c.divisor}
		if got := i.resource(s, &r.Template.Container); got != c.want {
			t.Errorf("%s / %s: %s, want %s", c.path, c.divisor, got, c.want)
		}
	}
	r.Template.Container.Resources = manifest.Resources{}
	if got := i.resource(&manifest.Source{Path: "limits.cpu"}, &r.Template.Container); got == "0" {
		t.Error("without a limit it should be what the machine has")
	}
}

// asProcess is for containers that run as processes.
func asProcess(*manifest.Template, *manifest.Container) bool { return false }
