package manifest

import (
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// Manifests as people have them are accepted, and say what they hold that has no meaning here.
func TestQ1ManifestsThatPeopleHave(t *testing.T) {
	for file, want := range map[string]string{
		"resources.yaml":   "resources: imagePullPolicy requests cpu memory gpu",
		"probes.yaml":      "probes:",
		"environment.yaml": "environment:",
		"volumes.yaml":     "volumes: serviceAccountName imagePullSecrets sizeLimit",
		"security.yaml":    "security: runAsNonRoot runAsUser fsGroup readOnlyRootFilesystem capabilities seccompProfile",
		"scheduling.yaml":  "scheduling: nodeSelector tolerations affinity topologySpreadConstraints priorityClassName runtimeClassName dnsPolicy hostAliases",
		"autoscaling.yaml": "autoscaling: visibility rollout-duration target-burst-capacity metric-aggregation-algorithm progress-deadline cpu-resource-limit",
		"cloudrun.yaml":    "cloudrun: cpu-throttling startup-cpu-boost serviceAccountName cpu memory",
		"kubectl-get.json": "from-kubectl: visibility",
		"traffic.yaml":     "traffic: traffic:",
		"everything.yaml":  "everything:",
		"sidecars.yaml":    "sidecars: lifecycle",
	} {
		set, err := Load(Input{Paths: []string{filepath.Join("testdata", file)}})
		if err != nil {
			t.Errorf("%s: %v", file, err)
			continue
		}
		var got []string
		for _, s := range set.Services {
			got = append(got, s.Name+":")
			for _, n := range s.Ignored {
				name := n.Field[strings.LastIndexAny(n.Field, "./")+1:]
				got = append(got, strings.TrimSuffix(name, "]"))
				if n.Why == "" || n.Line < 1 {
					t.Errorf("%s: %+v says too little", file, n)
				}
			}
		}
		if got := strings.Join(got, " "); got != want {
			t.Errorf("%s:\ngot  %s\nwant %s", file, got, want)
		}
	}
}

// All of them together are one application, too.
func TestQ1ADirectoryOfManifests(t *testing.T) {
	set, err := Load(Input{Paths: []string{"testdata"}})
	if err != nil {
		t.Fatal(err)
	}
	if len(set.Services) != 13 || len(set.Objects) != 3 {
		t.Errorf("%d services, %d objects", len(set.Services), len(set.Objects))
	}
	if got := set.Objects.Of("default", &Source{Kind: FromSecret, Name: "keys"}); got == nil || got.Data["TOKEN"] != "s3cret" || got.Data["ENCODED"] != "encoded" {
		t.Errorf("%+v", got)
	}
}

// Each field of Kubernetes' and Knative's types is in a table. A field that a later Kubernetes has fails this test, until
// somebody says what becomes of it here.
func TestQ1EveryFieldIsClassified(t *testing.T) {
	// Of Knative's types only the names are known here: serving.knative.dev/v1, without its module.
	knative := map[string][]string{
		"Service":                     {"apiVersion", "kind", "metadata", "spec", "status"},
		"ServiceSpec":                 {"template", "traffic"},
		"RevisionTemplateSpec":        {"metadata", "spec"},
		"RevisionSpec (with PodSpec)": {"containerConcurrency", "timeoutSeconds", "responseStartTimeoutSeconds", "idleTimeoutSeconds"},
		"Broker":                      {"apiVersion", "kind", "metadata", "spec", "status"}, // eventing.knative.dev/v1 and sources.knative.dev/v1
		"BrokerSpec":                  {"config", "delivery"},
		"Trigger":                     {"apiVersion", "kind", "metadata", "spec", "status"},
		"TriggerSpec":                 {"broker", "brokerRef", "filter", "filters", "subscriber", "delivery"},
		"TriggerFilter":               {"attributes"},
		"SubscriptionsAPIFilter":      {"all", "any", "not", "exact", "prefix", "suffix", "cesql"},
		"DeliverySpec":                {"deadLetterSink", "retry", "timeout", "backoffPolicy", "backoffDelay", "retryAfterMax", "format"},
		"Destination":                 {"ref", "uri", "CACerts", "audience"},
		"KReference":                  {"kind", "namespace", "name", "apiVersion", "group", "address"},
		"PingSource":                  {"apiVersion", "kind", "metadata", "spec", "status"},
		"PingSourceSpec":              {"sink", "ceOverrides", "schedule", "timezone", "contentType", "data", "dataBase64"},
		"ContainerSource":             {"apiVersion", "kind", "metadata", "spec", "status"},
		"ContainerSourceSpec":         {"sink", "ceOverrides", "template"},
		"SinkBinding":                 {"apiVersion", "kind", "metadata", "spec", "status"},
		"SinkBindingSpec":             {"sink", "ceOverrides", "subject"},
		"CloudEventOverrides":         {"extensions"},
		"Reference":                   {"apiVersion", "kind", "namespace", "name", "selector"}, // knative.dev/pkg/tracker
		"TrafficTarget":               {"tag", "revisionName", "configurationName", "latestRevision", "percent", "url"},
	}
	for kind, types := range map[string][]any{
		"metadata":                    {metav1.ObjectMeta{}},
		"RevisionSpec (with PodSpec)": {corev1.PodSpec{}},
		"PodTemplateSpec":             {corev1.PodTemplateSpec{}},
		"PodSpec":                     {corev1.PodSpec{}},
		"LabelSelector":               {metav1.LabelSelector{}},
		"LabelSelectorRequirement":    {metav1.LabelSelectorRequirement{}},
		"Container":                   {corev1.Container{}},
		"ContainerPort":               {corev1.ContainerPort{}},
		"EnvVar":                      {corev1.EnvVar{}},
		"EnvVarSource":                {corev1.EnvVarSource{}},
		"EnvFromSource":               {corev1.EnvFromSource{}},
		"ConfigMapKeySelector, SecretKeySelector": {corev1.ConfigMapKeySelector{}, corev1.SecretKeySelector{}},
		"ConfigMapEnvSource, SecretEnvSource":     {corev1.ConfigMapEnvSource{}, corev1.SecretEnvSource{}},
		"ObjectFieldSelector":                     {corev1.ObjectFieldSelector{}},
		"ResourceFieldSelector":                   {corev1.ResourceFieldSelector{}},
		"ResourceRequirements":                    {corev1.ResourceRequirements{}},
		"Probe":                                   {corev1.Probe{}},
		"HTTPGetAction":                           {corev1.HTTPGetAction{}},
		"HTTPHeader":                              {corev1.HTTPHeader{}},
		"TCPSocketAction":                         {corev1.TCPSocketAction{}},
		"GRPCAction":                              {corev1.GRPCAction{}},
		"ExecAction":                              {corev1.ExecAction{}},
		"SecurityContext":                         {corev1.SecurityContext{}},
		"PodSecurityContext":                      {corev1.PodSecurityContext{}},
		"VolumeMount":                             {corev1.VolumeMount{}},
		"Volume":                                  {corev1.Volume{}},
		"EmptyDirVolumeSource":                    {corev1.EmptyDirVolumeSource{}},
		"HostPathVolumeSource":                    {corev1.HostPathVolumeSource{}},
		"ProjectedVolumeSource":                   {corev1.ProjectedVolumeSource{}},
		"VolumeProjection":                        {corev1.VolumeProjection{}},
		"KeyToPath":                               {corev1.KeyToPath{}},
		"DownwardAPIVolumeSource":                 {corev1.DownwardAPIVolumeSource{}},
		"DownwardAPIVolumeFile":                   {corev1.DownwardAPIVolumeFile{}},
		"ConfigMap":                               {corev1.ConfigMap{}},
		"Secret":                                  {corev1.Secret{}},
		"ConfigMapVolumeSource, SecretVolumeSource, their projections": {
			corev1.ConfigMapVolumeSource{}, corev1.SecretVolumeSource{}, corev1.ConfigMapProjection{}, corev1.SecretProjection{},
		},
	} {
		for _, v := range types {
			knative[kind] = append(knative[kind], jsonNames(reflect.TypeOf(v))...)
		}
	}
	here := map[string][]string{}
	for _, row := range Rows() {
		if slices.Contains(here[row.Kind], row.Name) && !strings.HasPrefix(row.Kind, "annotations") {
			t.Errorf("%s of %s stands twice", row.Name, row.Kind)
		}
		here[row.Kind] = append(here[row.Kind], row.Name)
		if row.Note == "" && row.Class == Ignored {
			t.Errorf("%s of %s is ignored for no reason", row.Name, row.Kind)
		}
	}
	for kind, names := range knative {
		for _, name := range names {
			if !slices.Contains(here[kind], name) {
				t.Errorf("%s of %s is in no table", name, kind)
			}
		}
		for _, name := range here[kind] {
			if !slices.Contains(names, name) && name != "clusterName" && name != "status" { // of older releases, and of all objects
				t.Errorf("%s has no field %s", kind, name)
			}
		}
	}
	for kind := range here {
		if knative[kind] == nil && !strings.HasPrefix(kind, "annotations") {
			t.Errorf("%s is held against no type", kind)
		}
	}
}

func jsonNames(t reflect.Type) []string {
	var all []string
	for i := range t.NumField() {
		f := t.Field(i)
		name, _, _ := strings.Cut(f.Tag.Get("json"), ",")
		if name == "" {
			all = append(all, jsonNames(f.Type)...)
		} else {
			all = append(all, name)
		}
	}
	return all
}

var update = flag.Bool("update", false, "write the tables of docs/quickstart.md")

// The documentation's tables are these.
func TestQ1DocumentationHasTheTables(t *testing.T) {
	const file, begin, end = "../../../docs/quickstart.md", "<!-- fields: go test ./internal/standalone/manifest -run Documentation -update -->\n", "<!-- end of fields -->\n"
	doc, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	before, rest, ok := strings.Cut(string(doc), begin)
	_, after, ok2 := strings.Cut(rest, end)
	if !ok || !ok2 {
		t.Fatalf("%s has no place for the tables", file)
	}
	want := before + begin + markdown() + end + after
	if *update {
		if err := os.WriteFile(file, []byte(want), 0o644); err != nil {
			t.Fatal(err)
		}
	} else if want != string(doc) {
		t.Errorf("%s is not up to date: go test ./internal/standalone/manifest -run Documentation -update", file)
	}
}

// markdown is a table for each kind, with a row for fields that have class and reason in common.
func markdown() string {
	var b strings.Builder
	kind := ""
	rows := Rows()
	for i := 0; i < len(rows); {
		r := rows[i]
		if r.Kind != kind {
			kind = r.Kind
			fmt.Fprintf(&b, "\n**%s**\n\n| | | |\n|---|---|---|\n", kind)
		}
		names := []string{"`" + r.Name + "`"}
		for i++; i < len(rows) && r.Note != "" && rows[i].Kind == kind && rows[i].Note == r.Note && rows[i].Class == r.Class; i++ {
			names = append(names, "`"+rows[i].Name+"`")
		}
		fmt.Fprintf(&b, "| %s | %s | %s |\n", strings.Join(names, ", "), r.Class, r.Note)
	}
	return b.String() + "\n"
}

// What is not to be served is named and left out, and what is beside it served.
func TestQ2OtherKindsAreSkipped(t *testing.T) {
	dir := t.TempDir()
	for name, text := range map[string]string{
		"app.yaml":           head + "spec: {template: {spec: {containers: [{image: i}]}}}\n---\napiVersion: v1\nkind: Namespace\nmetadata: {name: shop}\n",
		"kustomization.yaml": "namespace: shop\nresources: [app.yaml]\n",
		"config.yml":         "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: c}\ndata: {a: b}\n",
		"package.json":       `{"name": "app", "version": "1.0.0"}`,
		"empty.yaml":         "# later\n",
		"tsconfig.json":      "{\n  // comments are no JSON\n  \"a\": [}\n",
		"service.yaml":       "apiVersion: v1\nkind: Service\nmetadata: {name: db}\n",
	} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	set, err := Load(Input{Paths: []string{dir}})
	if err != nil || len(set.Services) != 1 || len(set.Objects) != 1 {
		t.Fatalf("%+v, %v", set, err)
	}
	want := []string{
		dir + "/app.yaml: not served here: Namespace shop",
		dir + "/empty.yaml: holds no manifest",
		dir + "/kustomization.yaml: not served here: Kustomization (kubectl kustomize " + dir + " writes out what it says)",
		dir + "/package.json: not served here: no object of Kubernetes",
		dir + "/service.yaml: not served here: Service db of v1",
		dir + "/tsconfig.json: not served here: not YAML, and without an apiVersion",
	}
	if !slices.Equal(set.Skipped, want) {
		t.Errorf("got  %q\nwant %q", set.Skipped, want)
	}
}

// A List that holds itself has an end.
func TestQ1ListOfItself(t *testing.T) {
	_, err := Parse("f", []byte("apiVersion: v1\nkind: List\nitems: &a\n- apiVersion: v1\n  kind: List\n  items: *a\n"))
	if err == nil || !strings.Contains(err.Error(), "a List in more than 4 Lists") {
		t.Errorf("%v", err)
	}
}

func TestQ1StartupBudget(t *testing.T) {
	for _, c := range []struct {
		p    Probe
		want time.Duration
	}{
		{Probe{Delay: time.Second, Period: 10 * time.Second, Timeout: time.Second, Failure: 3}, 31 * time.Second},
		{Probe{Period: time.Second, Timeout: 4 * time.Minute, Failure: 1}, 4 * time.Minute},
		{Probe{Delay: maxSeconds * time.Second, Period: maxSeconds * time.Second, Failure: maxSeconds}, 100 * 365 * 24 * time.Hour},
	} {
		if got := c.p.Budget(); got != c.want {
			t.Errorf("%+v: %v, want %v", c.p, got, c.want)
		}
	}
}

func annotated(on, key, value string) string {
	doc := "apiVersion: serving.knative.dev/v1\nkind: Service\nmetadata:\n  name: hello\n"
	note := key + ": " + value + "\n"
	switch on {
	case "service":
		doc += "  annotations:\n    " + note
	case "label":
		doc += "  labels:\n    " + note
	}
	doc += "spec:\n  template:\n"
	if on == "template" {
		doc += "    metadata:\n      annotations:\n        " + note
	}
	return doc + "    spec: {containers: [{image: i}]}\n"
}

// Annotations and labels of Knative's are taken and checked.
func TestQ3AnnotationsAndLabels(t *testing.T) {
	for _, c := range []struct{ on, key, value, want string }{ // want: "" done or recorded, "ignored", or an error
		{"label", "networking.knative.dev/visibility", "cluster-local", "ignored"},
		{"label", "networking.knative.dev/visibility", "private", "f.yaml:6: field metadata.labels[networking.knative.dev/visibility]: should be cluster-local, is \"private\""},
		{"label", "team", "web", ""},
		{"service", "serving.knative.dev/rollout-duration", "380s", "ignored"},
		{"service", "serving.knative.dev/rolloutDuration", "380s", "ignored"},
		{"service", "serving.knative.dev/rollout-duration", "1500ms", "f.yaml:6: field metadata.annotations[serving.knative.dev/rollout-duration]: should be a duration of whole seconds such as 60s, is \"1500ms\""},
		{"service", "serving.knative.dev/creator", "me", ""},
		{"service", "example.com/whatever", "x", ""},
		{"service", "client.knative.dev/user-image", "x", ""},
		{"service", "networking.knative.dev/ingress-class", "kourier.ingress.networking.knative.dev", "ignored"},
		{"service", "autoscaling.knative.dev/min-scale", "'1'", "f.yaml:6: field metadata.annotations[autoscaling.knative.dev/min-scale]: belongs in spec.template.metadata.annotations"},
		{"service", "serving.knative.dev/rolout-duration", "1s", "no such annotation of Knative; the nearest is serving.knative.dev/rollout-duration"},
		{"template", "serving.knative.dev/rollout-duration", "1s", "belongs in the Service's own metadata.annotations"},
		{"template", "serving.knative.dev/progress-deadline", "5m", "ignored"},
		{"template", "serving.knative.dev/progress-deadline", "soon", "f.yaml:9: field spec.template.metadata.annotations[serving.knative.dev/progress-deadline]: should be a duration of whole seconds such as 60s, is \"soon\""},
		{"template", "autoscaling.knative.dev/target-burst-capacity", "'200'", "ignored"},
		{"template", "autoscaling.knative.dev/targetBurstCapacity", "'-1'", "ignored"},
		{"template", "autoscaling.knative.dev/target-burst-capacity", "'-2'", "should be a number from 0 up, or -1, is \"-2\""},
		{"template", "autoscaling.knative.dev/metric-aggregation-algorithm", "linear", "ignored"},
		{"template", "autoscaling.knative.dev/metric-aggregation-algorithm", "cubic", "should be linear or weighted-exponential, is \"cubic\""},
		{"template", "autoscaling.knative.dev/class", "hpa.autoscaling.knative.dev", "ignored"},
		{"template", "autoscaling.knative.dev/class", "vpa.autoscaling.knative.dev", "should be kpa.autoscaling.knative.dev or hpa.autoscaling.knative.dev, is \"vpa.autoscaling.knative.dev\""},
		{"template", "autoscaling.knative.dev/minscale", "'1'", "no such annotation of Knative; the nearest is autoscaling.knative.dev/min-scale"},
		{"template", "autoscaling.knative.dev/min-scale", "1", "should be a string, is 1 without quotes; quote it"},
		{"template", "queue.sidecar.serving.knative.dev/resourcePercentage", "'20'", "ignored"},
		{"template", "queue.sidecar.serving.knative.dev/cpu-resource-request", "many", "should be a quantity such as 100m or 256Mi, is \"many\""},
		{"template", "features.knative.dev/http-full-duplex", "Enabled", ""},
		{"template", "features.knative.dev/http-full-duplex", "'yes'", "should be Enabled or Disabled, is \"yes\""},
		{"template", "serving.knative.dev/http-full-duplex", "Enabled", "no such annotation of Knative; the nearest is features.knative.dev/http-full-duplex"},
		{"template", "sidecar.istio.io/inject", "'true'", ""},
		{"template", "sluice.dev/watch", "''", "f.yaml:9: field spec.template.metadata.annotations[sluice.dev/watch]: should be a directory, is \"\""},
		{"service", "sluice.dev/cluster-names", "'yes'", "f.yaml:6: field metadata.annotations[sluice.dev/cluster-names]: should be true or false, is \"yes\""},
		{"service", "sluice.dev/wach", "d", "f.yaml:6: field metadata.annotations[sluice.dev/wach]: no such annotation of the quickstart; the nearest is sluice.dev/watch"},
		{"template", "run.googleapis.com/cpu-throttling", "'false'", "ignored"},
	} {
		services, err := Parse("f.yaml", []byte(annotated(c.on, c.key, c.value)))
		got := fmt.Sprint(err)
		if err == nil {
			got = strings.Repeat("ignored", min(1, len(services[0].Ignored)))
		}
		if c.want == "" && got != "" || !strings.Contains(got, c.want) || err != nil && !strings.HasPrefix(got, "f.yaml:") {
			t.Errorf("%s %s: %s\ngot  %s\nwant %s", c.on, c.key, c.value, got, c.want)
		}
	}
}

// Of two names for one thing the newer counts, and another class's metric is none of ours.
func TestOptions(t *testing.T) {
	for _, c := range []struct {
		key, value string
		want       Options
	}{
		{"sluice.dev/watch", "./src", Options{Watch: "./src"}},
		{"sluice.dev/cluster-names", "'true'", Options{ClusterNames: true}},
		{"sluice.dev/cluster-names", "'false'", Options{}},
		{"sluice.dev/affinity", "cookie=sid", Options{Affinity: "cookie=sid"}},
	} {
		for _, on := range []string{"template", "service"} {
			services, err := Parse("f.yaml", []byte(annotated(on, c.key, c.value)))
			if err != nil {
				t.Fatal(err)
			}
			s := services[0]
			got, other := s.Options, s.Template.Options
			if on == "template" {
				got, other = other, got
			}
			if got != c.want || other != (Options{}) || len(s.Ignored) > 0 {
				t.Errorf("%s: %+v: got %+v, and %+v, %v", on, c, got, other, s.Ignored)
			}
		}
	}
	if _, err := Parse("f.yaml", []byte(annotated("template", "sluice.dev/affinity", "ip"))); err == nil || !strings.Contains(err.Error(), "header=FIELD") {
		t.Error(err)
	}
	for _, on := range []string{"template", "service"} {
		if _, err := Parse("f.yaml", []byte(annotated(on, "sluice.dev/affinity-order", "strict"))); err == nil || !strings.Contains(err.Error(), "needs sluice.dev/affinity,") {
			t.Errorf("an order without a key on the %s: %v", on, err)
		}
	}
}

func TestQ3WhatTheAutoscalerGets(t *testing.T) {
	set, err := Load(Input{Paths: []string{"testdata/autoscaling.yaml"}})
	if err != nil {
		t.Fatal(err)
	}
	scaling := map[string]string{}
	for _, a := range set.Services[0].Template.Scaling() {
		scaling[strings.TrimPrefix(a.Key, "autoscaling.knative.dev/")] = a.Value
	}
	if len(scaling) != 13 || scaling["max-scale"] != "4" || scaling["maxScale"] != "" || scaling["target-burst-capacity"] != "" {
		t.Errorf("%v", scaling)
	}
	services, err := Parse("f.yaml", []byte(strings.Replace(annotated("template", "autoscaling.knative.dev/metric", "cpu"), "metric: cpu",
		"metric: cpu\n        autoscaling.knative.dev/class: hpa.autoscaling.knative.dev\n        autoscaling.knative.dev/min-scale: '1'", 1)))
	if err != nil {
		t.Fatal(err)
	}
	if got := services[0].Template.Scaling(); len(got) != 1 || got[0].Value != "1" || len(services[0].Ignored) != 2 {
		t.Errorf("%v, %v", got, services[0].Ignored)
	}
}

const plain = "spec: {template: {spec: {containers: [{image: i}]}}}\n"

func TestQ8DirectoriesJSONAndStdin(t *testing.T) {
	dir := t.TempDir()
	write := func(name, text string) {
		t.Helper()
		if err := os.MkdirAll(filepath.Dir(filepath.Join(dir, name)), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	write("a.json", "{\t\"apiVersion\": \"serving.knative.dev/v1\",\n\t\"kind\": \"Service\", \"metadata\": {\"name\": \"a\"},\n"+
		"\t\"spec\": {\"template\": {\"spec\": {\"containers\": [{\"image\": \"i\"}]}}}}\n")
	write("below/b.yaml", strings.Replace(head, "hello", "b", 1)+plain)
	write(".hidden/c.yaml", "not: read")
	set, err := Load(Input{Paths: []string{dir, Stdin}, Stdin: []byte(head + plain)})
	if err != nil || len(set.Services) != 2 || set.Services[0].Name != "a" || set.Services[1].Pos.File != "stdin" {
		t.Fatalf("%+v, %v", set, err)
	}
	if want := []string{dir + ": directories below are not read: below; name them with -f"}; !slices.Equal(set.Skipped, want) {
		t.Errorf("got %q, want %q", set.Skipped, want)
	}
	set, err = Load(Input{Paths: []string{dir, filepath.Join(dir, "below")}})
	if err != nil || len(set.Services) != 2 {
		t.Errorf("%+v, %v", set, err)
	}
	_, err = Load(Input{Paths: []string{Stdin}, Stdin: []byte("{\n\"apiVersion\": \"serving.knative.dev/v1\", \"kind\": \"Service\",\n\"metadata\": {\"name\": \"a\"},\n\"spec\": {\"templat\": {}}}\n")})
	if err == nil || !strings.HasPrefix(err.Error(), "stdin:4: field spec.templat: no such field; the nearest is template") {
		t.Errorf("%v", err)
	}
	_, err = Load(Input{Paths: []string{Stdin}, Stdin: []byte("{\"apiVersion\": \"serving.knative.dev/v1\",\n\n")})
	if err == nil || !strings.HasPrefix(err.Error(), "stdin:") {
		t.Errorf("broken JSON: %v", err)
	}
}

// What is wrong with one field is one line.
func TestQ1OneMistakeIsOneLine(t *testing.T) {
	spec := "spec: {template: {spec: {containers: [{image: i}]}}}\n"
	named := func(name string) string {
		return "apiVersion: serving.knative.dev/v1\nkind: Service\nmetadata: {name: " + name + "}\n" + spec
	}
	for _, doc := range []string{
		named("1"), named("{{ .Release.Name }}"), named("[a]"), named("Aa"),
		head + "spec: {template: {metadata: {name: 1}, spec: {containers: [{image: i}]}}}\n",
		"apiVersion: v1\nkind: ConfigMap\nmetadata: {name: 1}\n",
	} {
		if _, err := Parse("f.yaml", []byte(doc)); err == nil || strings.Contains(err.Error(), "\n") {
			t.Errorf("%s: %v", doc, err)
		}
	}
}

// What Kubernetes refuses in a pod's resources is no mistake that waits for the cluster.
func TestQ1ResourcesThatNoPodMayHave(t *testing.T) {
	for resources, want := range map[string]string{
		"{limits: {memory: -1}}":                                "limits.memory: should not be negative, is -1",
		"{requests: {cpu: -100m}}":                              `requests.cpu: should not be negative, is "-100m"`,
		"{limits: {memory: 64Mi}, requests: {memory: 128Mi}}":   `requests.memory: should be at most the limit, 64Mi, is "128Mi"`,
		"{requests: {cpu: 2, memory: 1Mi}, limits: {cpu: 1.5}}": "requests.cpu: should be at most the limit, 1500m, is 2",
		"{limits: {cpu: 0, memory: 1e8}, requests: {cpu: 0}}":   "",
		"{limits: {cpu: 1}, requests: {cpu: 1000m}}":            "",
		"{requests: {cpu: 3}}":                                  "",
	} {
		_, err := Parse("f.yaml", []byte(head+"spec:\n  template:\n    spec:\n      containers:\n      - image: i\n        resources: "+resources+"\n"))
		if want = "f.yaml:9: field spec.template.spec.containers[0].resources." + want; err == nil && strings.HasSuffix(want, ".") {
			continue
		}
		if err == nil || err.Error() != want {
			t.Errorf("%s:\ngot  %v\nwant %s", resources, err, want)
		}
	}
}

func TestQ8NothingToServeIsSaid(t *testing.T) {
	dir := t.TempDir()
	empty := filepath.Join(dir, "empty.yaml")
	for _, text := range []string{"", "\n# nothing\n---\n"} {
		if err := os.WriteFile(empty, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		set, err := Load(Input{Paths: []string{empty}})
		if want := []string{empty + ": holds no manifest", "nothing to serve: no Service in " + empty}; err != nil || !slices.Equal(set.Skipped, want) {
			t.Errorf("%q, %v", set.Skipped, err)
		}
	}
	set, err := Load(Input{Paths: []string{t.TempDir()}})
	if err != nil || len(set.Skipped) != 1 || !strings.HasPrefix(set.Skipped[0], "nothing to serve: no Service in ") {
		t.Errorf("%q, %v", set.Skipped, err)
	}
	for _, text := range []string{"a: b\n", "hello\n", "[]\n"} { // a file that is named should hold a manifest
		if _, err := Load(Input{Paths: []string{Stdin}, Stdin: []byte(text)}); err == nil || !strings.Contains(err.Error(), "stdin:1: should be a Service of serving.knative.dev/v1") {
			t.Errorf("%q: %v", text, err)
		}
	}
}

// A quoted number is a namespace like any other; without quotes YAML reads a number, which Kubernetes refuses too.
func TestQ8NumbersAsNamespaces(t *testing.T) {
	form := "apiVersion: serving.knative.dev/v1\nkind: Service\nmetadata: {name: hello, namespace: %s}\n" + plain
	services, err := Parse("f", fmt.Appendf(nil, form, "'123'"))
	if err != nil || services[0].Namespace != "123" {
		t.Errorf("%+v, %v", services, err)
	}
	_, err = Parse("f", fmt.Appendf(nil, form, "123"))
	if want := "f:3: field metadata.namespace: should be a string, is 123 without quotes; quote it"; fmt.Sprint(err) != want {
		t.Errorf("%v, want %s", err, want)
	}
}

func TestQ8OneServiceInTwoFiles(t *testing.T) {
	dir := t.TempDir()
	for _, name := range []string{"a.yaml", "b.yaml"} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte("\n"+head+plain), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	_, err := Load(Input{Paths: []string{dir}})
	want := dir + "/b.yaml:2: service hello of namespace default is also in " + dir + "/a.yaml:2: successive versions of a service belong in one file"
	if fmt.Sprint(err) != want {
		t.Errorf("got  %v\nwant %s", err, want)
	}
	twice := "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: c}\n"
	_, err = Load(Input{Paths: []string{Stdin}, Stdin: []byte(twice + "---\n" + twice)})
	if fmt.Sprint(err) != "stdin:5: ConfigMap c is also in stdin:1" {
		t.Errorf("%v", err)
	}
}
