package manifest

import (
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"syscall"
	"testing"
	"time"
)

const head = "apiVersion: serving.knative.dev/v1\nkind: Service\nmetadata: {name: hello}\n"

const full = `# two documents
---
apiVersion: serving.knative.dev/v1
kind: Service
metadata:
  name: hello
  namespace: shop
  labels: {app: hello}
  annotations: {kubectl.kubernetes.io/last-applied: x}
spec:
  template:
    metadata:
      name: hello-world
      annotations:
        autoscaling.knative.dev/target: "7"
        features.knative.dev/http-full-duplex: Enabled
    spec:
      containerConcurrency: 3
      timeoutSeconds: 30
      responseStartTimeoutSeconds: 20
      idleTimeoutSeconds: 10
      containers:
      - name: app
        image: example.com/app
        command: [./app, serve]
        args: &args ["-v"]
        workingDir: /srv
        env:
        - name: TARGET
          value: World
        - {name: EMPTY}
        ports: [{name: h2c, containerPort: 9000, protocol: TCP}]
        readinessProbe:
          httpGet:
            path: ready
            port: h2c
            httpHeaders: [{name: X-Probe, value: "1"}]
          periodSeconds: 2
          timeoutSeconds: 3
          successThreshold: 2
          failureThreshold: 4
  traffic:
  - {revisionName: hello-old, percent: 40, tag: old}
  - {latestRevision: true, percent: 60}
---
# nothing here
---
apiVersion: serving.knative.dev/v1
kind: Service
metadata: {name: plain}
spec: {template: {spec: {containers: [{image: i}]}}}
`

func TestParseReadsEveryField(t *testing.T) {
	got, err := Parse("f.yaml", []byte(full))
	if err != nil {
		t.Fatal(err)
	}
	at := func(line int) Pos { return Pos{"f.yaml", line} }
	want := []Service{{
		Pos: at(3), Namespace: "shop", Name: "hello",
		Template: Template{
			Name: "hello-world", NamePos: at(13),
			Annotations: []Annotation{
				{Key: "autoscaling.knative.dev/target", Value: "7", Pos: at(15)},
				{Key: "features.knative.dev/http-full-duplex", Value: "Enabled", Pos: at(16)},
			},
			Container: Container{
				Name: "app", Image: "example.com/app", ImagePlace: Place{at(24), "spec.template.spec.containers[0].image"}, Command: []string{"./app", "serve"}, CommandPlace: Place{at(25), "spec.template.spec.containers[0].command"}, Args: []string{"-v"},
				WorkingDir: "/srv", Env: []EnvVar{{Name: "TARGET", Value: "World"}, {Name: "EMPTY"}}, Port: 9000, HasPort: true, H2C: true,
				Probe: Probe{
					HTTP:   &HTTPProbe{Path: "/ready", Scheme: "HTTP", Headers: []Header{{"X-Probe", "1"}}},
					Period: 2 * time.Second, Timeout: 3 * time.Second, SuccessThreshold: 2, Failure: 4,
				},
			},
			ContainerConcurrency: 3, Timeout: 30 * time.Second, ResponseStart: 20 * time.Second, Idle: 10 * time.Second,
		},
		Traffic: []Traffic{
			{Pos: at(43), Revision: "hello-old", Percent: 40, Tag: "old"},
			{Pos: at(44), Percent: 60},
		},
	}, {
		Pos: at(48), Namespace: "default", Name: "plain",
		Template: Template{
			NamePos:   at(51),
			Container: Container{Name: "user-container", Image: "i", ImagePlace: Place{at(51), "spec.template.spec.containers[0].image"}, Port: 8080, Probe: Probe{TCP: true, Timeout: time.Second, SuccessThreshold: 1, Failure: 3}},
			Timeout:   300 * time.Second,
		},
		Traffic: []Traffic{{Pos: at(48), Percent: 100}},
	}}
	for i := range got {
		got[i].Object = nil // TestADocumentIsTheSameByTheAPI
	}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("got  %+v\nwant %+v", got, want)
	}
}

func TestErrorsNameFileLineAndField(t *testing.T) {
	template := func(spec string) string { return head + "spec:\n  template:\n    spec:\n" + spec }
	container := func(fields string) string { return template("      containers:\n      - image: i\n" + fields) }
	ok := "  template: {spec: {containers: [{image: i}]}}\n"
	for _, c := range []struct{ name, doc, want string }{
		{"misspelt in the template", template("      volums: []\n      containers: [{image: i}]\n"), "f.yaml:7: field spec.template.spec.volums: no such field; the nearest is volumes"},
		{"misspelt in the container", container("        resource: {}\n"), "f.yaml:9: field spec.template.spec.containers[0].resource: no such field; the nearest is resources"},
		{"misspelt in a probe", container("        livenessProbe: {httpget: {}}\n"), "livenessProbe.httpget: no such field; the nearest is httpGet"},
		{"like nothing", container("        frobnicate: {}\n"), "f.yaml:9: field spec.template.spec.containers[0].frobnicate: no such field in Container"},
		{"like nothing, of few", head + "spec:\n  frobnicate: {}\n" + ok, "f.yaml:5: field spec.frobnicate: no such field; ServiceSpec has: template, traffic"},
		{"no source", container("        env:\n        - name: A\n          valueFrom: {}\n"), "f.yaml:11: field spec.template.spec.containers[0].env[0].valueFrom: should name one source, names 0"},
		{"value and source", container("        env:\n        - {name: A, value: b, valueFrom: {fieldRef: {fieldPath: metadata.name}}}\n"), "env[0]: should have either value or valueFrom"},
		{"field of a pod", container("        env:\n        - {name: A, valueFrom: {fieldRef: {fieldPath: metadata.nam}}}\n"), `valueFrom.fieldRef.fieldPath: no such field of a pod: "metadata.nam"; the nearest is metadata.name`},
		{"key without name", container("        env:\n        - {name: A, valueFrom: {secretKeyRef: {key: k}}}\n"), "secretKeyRef: should have name and key"},
		{"exec probe", container("        readinessProbe:\n          exec: {command: []}\n"), "f.yaml:10: field spec.template.spec.containers[0].readinessProbe.exec: should have command"},
		{"two containers", template("      containers:\n      - image: i\n      - image: j\n"), "f.yaml:7: field spec.template.spec.containers: none has ports: the one that gets the requests should"},
		{"two with ports", template("      containers:\n      - {image: i, ports: [{containerPort: 1}]}\n      - {image: j, ports: [{containerPort: 2}]}\n"), "f.yaml:9: field spec.template.spec.containers[1]: more than one container has ports"},
		{"two of one name", template("      containers:\n      - {name: a, image: i, ports: [{containerPort: 1}]}\n      - {name: a, image: j}\n"), `f.yaml:9: field spec.template.spec.containers[1].image: another container is called "a", too`},
		{"sidecar's probe", template("      containers:\n      - {image: i, ports: [{containerPort: 1}]}\n      - {image: j, livenessProbe: {tcpSocket: {}}}\n"), "f.yaml:9: field spec.template.spec.containers[1]: a probe of a container without ports should have a port"},
		{"init container's probe", template("      containers: [{image: i}]\n      initContainers: [{image: i, livenessProbe: {tcpSocket: {port: 1}}}]\n"), "an init container has no probes"},
		{"no container", template("      containers: []\n"), "field spec.template.spec.containers: should hold a container"},
		{"two ports", container("        ports: [{containerPort: 1}, {containerPort: 2}]\n"), "f.yaml:9: field spec.template.spec.containers[0].ports[1]: not supported: one port only"},
		{"mount without volume", template("      volumes: [{name: config, emptyDir: {}}]\n      containers: [{image: i, volumeMounts: [{name: confg, mountPath: /x}]}]\n"), `f.yaml:8: field spec.template.spec.containers[0].volumeMounts[0]: there is no volume "confg"; the nearest is config`},
		{"mount path", template("      volumes: [{name: v, emptyDir: {}}]\n      containers: [{image: i, volumeMounts: [{name: v, mountPath: x}]}]\n"), `volumeMounts[0].mountPath: should be an absolute path, is "x"`},
		{"sub path", template("      volumes: [{name: v, emptyDir: {}}]\n      containers: [{image: i, volumeMounts: [{name: v, mountPath: /x, subPath: ../y}]}]\n"), `subPath: should be a path within the volume, is "../y"`},
		{"volume of two kinds", template("      volumes: [{name: v, emptyDir: {}, secret: {secretName: s}}]\n      containers: [{image: i}]\n"), "volumes[0]: should be of one kind, is of 2"},
		{"volume twice", template("      volumes: [{name: v, emptyDir: {}}, {name: v, emptyDir: {}}]\n      containers: [{image: i}]\n"), `volumes[1]: volume "v" is defined twice`},
		{"quantity", container("        resources: {limits: {memory: many}}\n"), `resources.limits.memory: should be a quantity such as 100m or 256Mi, is "many"`},
		{"port name", container("        ports:\n        - name: web\n"), `name should be http1 or h2c, is "web"`},
		{"port range", container("        ports:\n        - containerPort: 70000\n"), "f.yaml:10: field spec.template.spec.containers[0].ports[0].containerPort: should be from 1 to 65535, is 70000"},
		{"probe port", container("        readinessProbe: {tcpSocket: {port: web}}\n"), `readinessProbe.tcpSocket.port: should be a number, or the name of the container's port (http1 or h2c), is "web"`},
		{"two probes", container("        readinessProbe: {tcpSocket: {}, grpc: {}}\n"), "should have one of httpGet, tcpSocket, grpc and exec, has 2"},
		{"reserved variable", container("        env: [{name: PORT, value: \"1\"}]\n"), "f.yaml:9: field spec.template.spec.containers[0].env[0]: PORT is set by the platform"},
		{"number as a string", container("        env: [{name: A, value: 1}]\n"), "containers[0].env[0].value: should be a string, is 1 without quotes; quote it"},
		{"string as a number", template("      timeoutSeconds: \"5\"\n      containers: [{image: i}]\n"), `f.yaml:7: field spec.template.spec.timeoutSeconds: should be a whole number, is "5"`},
		{"timeout range", template("      timeoutSeconds: 601\n      containers: [{image: i}]\n"), "should be from 0 to 600, is 601"},
		{"list instead of mapping", head + "spec: []\n", "f.yaml:4: field spec: should be a mapping, is a list"},
		{"mapping instead of list", template("      containers: {image: i}\n"), "containers: should be a list, is a mapping"},
		{"twice", template("      timeoutSeconds: 1\n      timeoutSeconds: 2\n      containers: [{image: i}]\n"), "f.yaml:8: field spec.template.spec.timeoutSeconds: given twice"},
		{"misspelt kind", "apiVersion: serving.knative.dev/v1\nkind: Servce\nspec: {}\n", `f.yaml:1: field kind: no kind of serving.knative.dev/v1: "Servce"; the nearest is Service`},
		{"misspelt version", "apiVersion: serving.knativ.dev/v1\nkind: Service\nspec: {}\n", `f.yaml:1: field apiVersion: should be serving.knative.dev/v1, is "serving.knativ.dev/v1"`},
		{"old version", "apiVersion: serving.knative.dev/v1alpha1\nkind: Service\nspec: {}\n", `f.yaml:1: field apiVersion: should be serving.knative.dev/v1, is "serving.knative.dev/v1alpha1"`},
		{"no version", "kind: Pod\n", "f.yaml:1: field apiVersion: missing"},
		{"no kind", "apiVersion: v1\n", "f.yaml:1: field kind: missing"},
		{"base64", "apiVersion: v1\nkind: Secret\nmetadata: {name: s}\ndata:\n  a: '%'\n", "f.yaml:5: field data.a: should be in base64: values that aren't belong in stringData"},
		{"number in a ConfigMap", "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: s}\ndata: {a: 1}\n", "f.yaml:4: field data.a: should be a string, is 1 without quotes; quote it"},
		{"key of a ConfigMap", "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: s}\ndata: {../a: b}\n", "f.yaml:4: field data[../a]: a key should be letters"},
		{"nameless ConfigMap", "apiVersion: v1\nkind: ConfigMap\ndata: {a: b}\n", "f.yaml:1: field metadata.name: missing"},
		{"in a List", "apiVersion: v1\nkind: List\nitems:\n- apiVersion: serving.knative.dev/v1\n  kind: Service\n  metadata: {name: a}\n  spec: {tmplate: {}}\n", "f.yaml:7: field items[0].spec.tmplate: no such field; the nearest is template"},
		{"no name", "apiVersion: serving.knative.dev/v1\nkind: Service\nspec:\n" + ok, "f.yaml:1: field metadata.name: missing"},
		{"bad name", "apiVersion: serving.knative.dev/v1\nkind: Service\nmetadata: {name: He.llo}\nspec:\n" + ok, `f.yaml:3: field metadata.name: should be lower-case letters`},
		{"no spec", head, "f.yaml:1: field spec: missing"},
		{"no template", head + "spec: {traffic: []}\n", "f.yaml:4: field spec.template: missing"},
		{"no template spec", head + "spec: {template: {}}\n", "field spec.template.spec: missing"},
		{"revision's name", head + "spec: {template: {metadata: {name: other}, spec: {containers: [{image: i}]}}}\n", `f.yaml:4: field spec.template.metadata.name: should begin with "hello-", is "other"`},
		{"percents", head + "spec:\n" + ok + "  traffic:\n  - {latestRevision: true, percent: 50}\n", "f.yaml:7: field spec.traffic: the percents should sum to 100, sum to 50"},
		{"neither", head + "spec:\n" + ok + "  traffic:\n  - {percent: 100, latestRevision: false}\n", "f.yaml:7: field spec.traffic[0]: should have either revisionName or latestRevision: true"},
		{"both", head + "spec:\n" + ok + "  traffic:\n  - {percent: 100, latestRevision: true, revisionName: hello-a}\n", "should have either"},
		{"tag twice", head + "spec:\n" + ok + "  traffic:\n  - {percent: 50, latestRevision: true, tag: a}\n  - {percent: 50, revisionName: hello-a, tag: a}\n", `f.yaml:8: field spec.traffic: tag "a" is used twice`},
		{"merge key", head + "spec:\n  <<: {}\n" + ok, "f.yaml:5: field spec.<<: merge keys are not read: write the fields out"},
		{"syntax", "a: b\nc: [\n", "f.yaml:"},
		{"scalar", "hello\n", `f.yaml:1: should be a Service of serving.knative.dev/v1, is kind "" of apiVersion ""`},
	} {
		t.Run(c.name, func(t *testing.T) {
			_, err := Parse("f.yaml", []byte(c.doc))
			if err == nil {
				t.Fatal("no error")
			}
			if !strings.Contains(err.Error(), c.want) {
				t.Errorf("got  %v\nwant %s", err, c.want)
			}
			for line := range strings.Lines(err.Error()) {
				if !strings.HasPrefix(line, "f.yaml:") {
					t.Errorf("a line without a place: %s", line)
				}
			}
		})
	}
}

func TestEveryErrorIsReportedAtOnce(t *testing.T) {
	_, err := Parse("f.yaml", []byte(head+"spec:\n  template:\n    spec:\n      volums: []\n      nodeNam: x\n      containers: [{image: i, ttty: true}]\n"))
	if err == nil || strings.Count(err.Error(), "no such field") != 3 {
		t.Errorf("got %v, want three errors", err)
	}
}

func TestEqualIgnoresWhereAndWhatName(t *testing.T) {
	parse := func(doc string) *Template {
		s, err := Parse("f", []byte(doc))
		if err != nil {
			t.Fatal(err)
		}
		return &s[0].Template
	}
	base := parse(full)
	if !base.Equal(parse("\n\n" + strings.Replace(full, "hello-world", "hello-else", 1))) {
		t.Error("moved and renamed: not equal")
	}
	for _, edit := range [][2]string{
		{"value: World", "value: Welt"},
		{`target: "7"`, `target: "8"`},
		{"path: ready", "path: up"},
		{"./app, serve", "./app"},
		{"timeoutSeconds: 30", "timeoutSeconds: 31"},
		{"name: h2c", "name: http1"},
		{"containerConcurrency: 3", "containerConcurrency: 4"},
	} {
		doc := strings.Replace(full, edit[0], edit[1], 1)
		doc = strings.Replace(doc, "port: h2c", "port: 9000", 1)
		if base.Equal(parse(doc)) {
			t.Errorf("%s → %s: equal", edit[0], edit[1])
		}
	}
}

func TestLoadTakesFilesAndDirectories(t *testing.T) {
	dir := t.TempDir()
	write := func(name, service string) string {
		doc := strings.Replace(head, "hello", service, 1) + "spec: {template: {spec: {containers: [{image: i}]}}}\n"
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, []byte(doc), 0o644); err != nil {
			t.Fatal(err)
		}
		return path
	}
	write("b.yaml", "b")
	write("a.yml", "a")
	write("c.txt", "c")
	write(".hidden.yaml", "h")
	single := write("z.yaml", "z")
	got, err := Load(Input{Paths: []string{single, dir, dir}})
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, s := range got.Services {
		names = append(names, s.Name)
	}
	if want := []string{"z", "a", "b"}; !reflect.DeepEqual(names, want) { // each file once
		t.Errorf("got %v, want %v", names, want)
	}
	if _, err := Load(Input{Paths: []string{filepath.Join(dir, "none.yaml")}}); err == nil {
		t.Error("a file that isn't there: no error")
	}
	if err := os.WriteFile(single, make([]byte, MaxFileSize+1), 0o644); err != nil {
		t.Fatal(err)
	}
	if _, err := Load(Input{Paths: []string{single}}); err == nil || !strings.Contains(err.Error(), "larger than") {
		t.Errorf("a huge file: %v", err)
	}
}

func FuzzParse(f *testing.F) {
	f.Add(full)
	f.Add(head)
	f.Add("a: &a [*a]\n")
	f.Add("{\"apiVersion\": \"serving.knative.dev/v1\", \"kind\": \"Service\"}")
	for _, name := range []string{"sidecars.yaml", "volumes.yaml", "environment.yaml", "kubectl-get.json", "autoscaling.yaml", "eventing.yaml"} {
		doc, err := os.ReadFile("testdata/" + name)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(string(doc))
	}
	f.Add(head + "spec: &s {template: *s}\n")
	f.Fuzz(func(t *testing.T, doc string) {
		services, err := Parse("f", []byte(doc))
		if err != nil {
			if services != nil {
				t.Error("services beside an error")
			}
			return
		}
		for _, s := range services {
			sum := 0
			for _, tr := range s.Traffic {
				sum += tr.Percent
			}
			if s.Name == "" || s.Namespace == "" || sum != 100 {
				t.Errorf("accepted %+v", s)
			}
			if !strings.Contains(doc, "List") { // its items have longer paths
				sameByTheAPI(t, &s)
			}
		}
		if set := newSet(); !strings.Contains(doc, "List") && set.add(File{Name: "f", Data: []byte(doc), Named: true}) == nil {
			for _, e := range set.Eventing {
				sameEventingByTheAPI(t, e)
			}
		}
	})
}

// The YAML parser names no line for some errors.
func TestErrorsOfYAMLNameTheLine(t *testing.T) {
	before := "# a\n# b\n" + head + "spec: {template: {spec: {containers: [{image: i}]}}}\n---\n"
	after := "\nc: d\n---\n" + head
	for bad, why := range map[string]string{
		"a: \x01":   "control characters are not allowed",
		"a: b\xc3(": "invalid trailing UTF-8 octet",
		"a: *x":     "unknown anchor 'x' referenced",
		"a: b: c":   "mapping values are not allowed in this context",
	} {
		for place, want := range map[string]string{before: "f:8: not YAML: ", "": "f:1: not YAML: "} {
			if _, err := Parse("f", []byte(place+bad+after)); err == nil || !strings.Contains(err.Error(), want+why) {
				t.Errorf("%q: %v", place+bad, err)
			}
		}
	}
}

// A pipe keeps who opens it waiting, and a device never ends; both may be found in a directory too.
func TestLoadTakesRegularFilesOnly(t *testing.T) {
	pipe := filepath.Join(t.TempDir(), "pipe.yaml")
	if err := syscall.Mkfifo(pipe, 0o600); err != nil {
		t.Fatal(err)
	}
	for _, path := range []string{pipe, filepath.Dir(pipe), os.DevNull} {
		if _, err := Load(Input{Paths: []string{path}}); err == nil || !strings.Contains(err.Error(), "should be a file") {
			t.Errorf("%s: %v", path, err)
		}
	}
}
