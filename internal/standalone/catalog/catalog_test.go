package catalog

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/sluice-proxy/sluice/internal/standalone/autoscaler"
	"github.com/sluice-proxy/sluice/internal/standalone/manifest"
)

// doc is a Service hello in YAML; name and traffic may be empty.
func doc(name, target, traffic string) string {
	s := "---\napiVersion: serving.knative.dev/v1\nkind: Service\nmetadata: {name: hello}\nspec:\n  template:\n"
	if name != "" {
		s += "    metadata: {name: " + name + "}\n"
	}
	s += "    spec: {containers: [{command: [app], env: [{name: TARGET, value: " + target + "}]}]}\n"
	if traffic != "" {
		s += "  traffic: " + traffic + "\n"
	}
	return s
}

type book struct {
	*Catalog
	t testing.TB
}

func newBook(t testing.TB) book {
	return book{New(Config{Scaling: autoscaler.Standard(), Images: map[string][]string{"known": {"run", "known"}, "tagged:v1": {"v1"}}}), t}
}

func (b book) apply(docs ...string) error {
	b.t.Helper()
	services, err := manifest.Parse("f.yaml", []byte(strings.Join(docs, "")))
	if err != nil {
		b.t.Fatal(err)
	}
	plan, err := b.Plan(services)
	if err == nil {
		plan.Commit()
	}
	return err
}

// is checks the one service: its revisions, oldest first, the latest with a star.
func (b book) is(want ...string) {
	b.t.Helper()
	var got []string
	for _, s := range b.Services() {
		for _, r := range s.Revisions {
			name := r.Name + "=" + r.Template.Container.Env[0].Value
			if r == s.Latest {
				name += "*"
			}
			got = append(got, name)
		}
	}
	if !slices.Equal(got, want) {
		b.t.Errorf("got %v, want %v", got, want)
	}
}

func (b book) ok(err error) {
	b.t.Helper()
	if err != nil {
		b.t.Fatal(err)
	}
}

func TestChangedTemplateIsANewRevision(t *testing.T) {
	b := newBook(t)
	b.ok(b.apply(doc("", "a", "")))
	b.is("hello-00001=a*")
	b.ok(b.apply(doc("", "a", "[{latestRevision: true, percent: 100, tag: new}]")))
	b.is("hello-00001=a*")
	b.ok(b.apply(doc("", "b", "")))
	b.is("hello-00001=a", "hello-00002=b*")
	b.ok(b.apply(doc("", "a", "")))
	b.is("hello-00001=a", "hello-00002=b", "hello-00003=a*")
}

func TestNamedTemplates(t *testing.T) {
	b := newBook(t)
	b.ok(b.apply(doc("hello-world", "a", "")))
	b.ok(b.apply(doc("hello-knative", "b", "[{revisionName: hello-world, percent: 50}, {latestRevision: true, percent: 50}]")))
	b.is("hello-world=a", "hello-knative=b*")
	err := b.apply(doc("hello-world", "c", ""))
	if err == nil || !strings.Contains(err.Error(), "f.yaml:7: field spec.template.metadata.name: revision hello-world exists with a different spec") {
		t.Errorf("%v", err)
	}
	b.is("hello-world=a", "hello-knative=b*")
	b.ok(b.apply(doc("hello-world", "a", "")))
	b.is("hello-world=a*", "hello-knative=b")
	b.ok(b.apply(doc("", "a", "")))
	b.is("hello-world=a", "hello-knative=b", "hello-00004=a*") // the third template was hello-world's again
	b.ok(b.apply(doc("hello-00006", "c", "")))
	b.ok(b.apply(doc("", "d", "")))
	b.is("hello-world=a", "hello-knative=b", "hello-00004=a", "hello-00006=c", "hello-00007=d*")
	b.ok(b.apply(doc("hello-00007", "d", ""))) // its name as a cluster tells it
	b.is("hello-world=a", "hello-knative=b", "hello-00004=a", "hello-00006=c", "hello-00007=d*")
}

// As in Knative a revision's generation is that of the Configuration, whoever named it, and is in generated names.
func TestGenerations(t *testing.T) {
	b := newBook(t)
	b.generations(0)
	b.ok(b.apply(doc("hello-world", "a", "")))
	b.generations(1, 1)
	b.ok(b.apply(doc("hello-world", "a", "")))
	b.ok(b.apply(doc("", "b", "")))
	b.is("hello-world=a", "hello-00002=b*")
	b.generations(2, 1, 2)
	b.ok(b.apply(doc("hello-world", "a", "")))
	b.generations(3, 1, 2)
	both := []string{doc("hello-world", "a", ""), doc("", "c", "")}
	for range 2 {
		b.ok(b.apply(both...))
		b.is("hello-world=a", "hello-00002=b", "hello-00004=c*")
		b.generations(4, 1, 2, 4)
	}
}

// generations checks those of the one service and of its revisions.
func (b book) generations(service int64, revisions ...int64) {
	b.t.Helper()
	for _, s := range b.Services() {
		var got []int64
		for _, r := range s.Revisions {
			got = append(got, r.Generation)
			if r.Created.IsZero() {
				b.t.Errorf("%s has no time", r.Name)
			}
		}
		if s.Generation != service || !slices.Equal(got, revisions) {
			b.t.Errorf("got %d %v, want %d %v", s.Generation, got, service, revisions)
		}
	}
}

// Annotations of the service hold for its revisions from now on, and make none.
func TestOptions(t *testing.T) {
	b := newBook(t)
	for _, step := range []struct {
		service, template string
		want              manifest.Options
		revisions         int
	}{
		{"", "", manifest.Options{}, 1},
		{"sluice.dev/watch: a, sluice.dev/cluster-names: 'true'", "", manifest.Options{Watch: "a", ClusterNames: true}, 1},
		{"sluice.dev/affinity: path=1, sluice.dev/affinity-order: strict", "", manifest.Options{Affinity: "path=1", AffinityOrder: "strict"}, 1},
		{"sluice.dev/watch: b", "", manifest.Options{Watch: "b"}, 1},
		{
			"sluice.dev/watch: b, sluice.dev/affinity: path=1, sluice.dev/affinity-order: strict", "sluice.dev/watch: c, sluice.dev/affinity: cookie=a",
			manifest.Options{Watch: "c", Affinity: "cookie=a", AffinityOrder: "strict"},
			2,
		},
		{"sluice.dev/watch: b", "sluice.dev/watch: c, sluice.dev/affinity: cookie=a", manifest.Options{Watch: "c", Affinity: "cookie=a"}, 2},
	} {
		text := strings.Replace(doc("", "x", ""), "{name: hello}", "{name: hello, annotations: {"+step.service+"}}", 1)
		b.ok(b.apply(strings.Replace(text, "template:\n", "template:\n    metadata: {annotations: {"+step.template+"}}\n", 1)))
		s := b.Services()[0]
		if got := b.Options(s.Latest); got != step.want || len(s.Revisions) != step.revisions {
			t.Errorf("%+v: got %+v, %d revisions", step, got, len(s.Revisions))
		}
	}
	if got, want := b.Options(b.Services()[0].Revisions[0]), (manifest.Options{Watch: "b"}); got != want {
		t.Errorf("the first: %+v", got)
	}
}

func TestPlanChangesNothing(t *testing.T) {
	b := newBook(t)
	b.ok(b.apply(doc("", "a", "")))
	services, err := manifest.Parse("f.yaml", []byte(doc("", "b", "")))
	b.ok(err)
	plan, err := b.Plan(services)
	b.ok(err)
	b.is("hello-00001=a*")
	b.generations(1, 1)
	plan.Commit()
	b.is("hello-00001=a", "hello-00002=b*")
}

// stored returns what a later run would restore.
func (b book) stored() (all []Stored) {
	for _, s := range b.Services() {
		one := Stored{Namespace: s.Namespace, Name: s.Name, Generation: s.Generation, Latest: s.Latest.Name}
		for _, r := range s.Revisions {
			// Whether a name was generated is not in a Revision.
			t := r.Template
			t.Name = ""
			one.Revisions = append(one.Revisions, Revision{Name: r.Name, Generation: r.Generation, Created: r.Created, Template: t})
		}
		all = append(all, one)
	}
	return all
}

// A start with the revisions of an earlier run goes on where that was.
func TestRestore(t *testing.T) {
	split := "[{revisionName: hello-world, percent: 50}, {latestRevision: true, percent: 50}]"
	a, c, d := doc("hello-world", "a", ""), doc("", "c", ""), doc("", "d", split)
	for name, run := range map[string]struct{ before, first, then []string }{
		"nothing has changed": {[]string{a, c, d}, []string{a, c, d}, []string{"hello-world=a", "hello-00002=c", "hello-00003=d*"}},
		"the latest alone":    {[]string{a, c, d}, []string{d}, []string{"hello-world=a", "hello-00002=c", "hello-00003=d*"}},
		"another one":         {[]string{a, c, d}, []string{doc("", "e", "")}, []string{"hello-world=a", "hello-00002=c", "hello-00003=d", "hello-00004=e*"}},
		"an earlier one":      {[]string{a, c, d}, []string{c}, []string{"hello-world=a", "hello-00002=c", "hello-00003=d", "hello-00004=c*"}},
		"a named one":         {[]string{a, c, d}, []string{a}, []string{"hello-world=a*", "hello-00002=c", "hello-00003=d"}},
		"one more":            {[]string{a, c}, []string{a, c, d}, []string{"hello-world=a", "hello-00002=c", "hello-00003=d*"}},
		"none":                {[]string{a, c}, nil, []string{}},
	} {
		t.Run(name, func(t *testing.T) {
			earlier, b := newBook(t), newBook(t)
			b.ok(earlier.apply(run.before...))
			b.ok(b.Restore(earlier.stored()))
			for range 2 {
				b.ok(b.apply(run.first...))
				b.is(run.then...)
			}
			for _, r := range earlier.Services()[0].Revisions {
				for _, s := range b.Services() {
					if again := s.Revision(r.Name); !again.Created.Equal(r.Created) || again.Generation != r.Generation || !slices.Equal(again.Command, r.Command) {
						t.Errorf("%+v, was %+v", again, r)
					}
				}
			}
		})
	}
}

// A revision whose command is gone doesn't come back, and its number is not used again.
func TestRestoreWithoutACommand(t *testing.T) {
	b := newBook(t)
	template := manifest.Template{Container: manifest.Container{Image: "gone"}}
	err := b.Restore([]Stored{{Namespace: "default", Name: "hello", Latest: "hello-00007", Revisions: []Revision{{Name: "hello-00007", Generation: 7, Template: template}}}})
	if err == nil || !strings.HasPrefix(err.Error(), "revision hello-00007 is given up: no command is known for gone, and") {
		t.Errorf("%v", err)
	}
	b.ok(b.apply(doc("", "a", "")))
	b.is("hello-00008=a*")
}

// What nobody needs any more is kept up to a number, the newest first.
func TestOldRevisions(t *testing.T) {
	var serving *Revision
	c := New(Config{Scaling: autoscaler.Standard(), Serving: func(r *Revision) bool { return r == serving }})
	b := book{c, t}
	b.ok(b.apply(doc("hello-first", "v", "")))
	traffic := "[{revisionName: hello-first, percent: 0, tag: first}, {latestRevision: true, percent: 100}]"
	for i := range 30 {
		b.ok(b.apply(doc("", fmt.Sprint("v", i), traffic)))
		if i == 2 {
			serving = b.Services()[0].Latest
		}
	}
	s := b.Services()[0]
	var names []string
	for _, r := range s.Revisions {
		names = append(names, r.Name)
	}
	if len(names) != 3+maxUnused || names[0] != "hello-first" || names[1] != "hello-00004" || names[2] != "hello-00011" || names[22] != "hello-00031" {
		t.Errorf("%d: %v", len(names), names)
	}

	for name, want := range map[string]string{
		"hello-first": "the traffic of service hello names it",
		"hello-00004": "it gets the requests of service hello until the latest is ready",
		"hello-00031": "it is the latest of service hello",
		"hello-00030": "<nil>",
		"hello-00005": "there is no revision hello-00005 in namespace default",
	} {
		plan, err := b.DeleteRevision("default", name)
		if fmt.Sprint(err) != want {
			t.Errorf("got %v, want %s", err, want)
		}
		if err == nil {
			plan.Commit()
		}
	}
	if _, err := b.DeleteRevision("shop", "hello-00029"); err == nil {
		t.Error("deleted in another namespace")
	}
	if after := b.Services()[0]; after.Revision("hello-00030") != nil || len(after.Revisions) != 22 || len(s.Revisions) != 23 {
		t.Errorf("%+v", after)
	}
	b.ok(b.apply(doc("", "v29", ""), doc("", "x", "")))
	if _, err := b.DeleteRevision("default", "hello-00031"); err == nil || err.Error() != "a document of f.yaml describes it" {
		t.Errorf("%v", err)
	}
}

func TestDocumentsApplyInOrder(t *testing.T) {
	split := "[{revisionName: hello-world, percent: 50}, {revisionName: hello-knative, percent: 50}]"
	b := newBook(t)
	both := []string{doc("hello-world", "a", ""), doc("hello-knative", "b", split)}
	b.ok(b.apply(both...))
	b.is("hello-world=a", "hello-knative=b*")
	b.ok(b.apply(both...))
	b.is("hello-world=a", "hello-knative=b*")

	b = newBook(t)
	b.ok(b.apply(doc("", "a", ""), doc("", "b", "")))
	b.is("hello-00001=a", "hello-00002=b*")
	b.ok(b.apply(doc("", "a", ""), doc("", "b", "")))
	b.is("hello-00001=a", "hello-00002=b*")
	b.ok(b.apply(doc("", "b", ""))) // the first document is removed
	b.is("hello-00001=a", "hello-00002=b*")
}

// A fresh process knows no revision of an earlier one: the error says how to give it, and that works.
func TestQ7RevisionOfAnEarlierRun(t *testing.T) {
	b := newBook(t)
	err := b.apply(doc("hello-knative", "b", "[{revisionName: hello-world, percent: 100}]"))
	if err == nil || !strings.Contains(err.Error(), "f.yaml:9: field spec.traffic: there is no revision hello-world; there are: hello-knative. "+
		"To make it, put the Service as it was then before this, in the same file with --- between") {
		t.Errorf("%v", err)
	}
	b.is()
	b.ok(b.apply(doc("hello-world", "a", ""), doc("hello-knative", "b", "[{revisionName: hello-world, percent: 100}]")))
	b.is("hello-world=a", "hello-knative=b*")
}

func TestAllOrNothing(t *testing.T) {
	b := newBook(t)
	b.ok(b.apply(doc("", "a", "")))
	other := strings.Replace(doc("", "x", "[{revisionName: none, percent: 100}]"), "name: hello", "name: other", 1)
	if b.apply(doc("", "b", ""), other) == nil {
		t.Fatal("no error")
	}
	b.is("hello-00001=a*")
	b.ok(b.apply())
	b.is()
	b.ok(b.apply(doc("", "b", "")))
	b.is("hello-00001=b*") // a service that was away starts afresh
}

func TestRevisionNamesOfTwoServicesMayNotClash(t *testing.T) {
	b := newBook(t)
	err := b.apply(doc("hello-a-b", "x", ""), strings.Replace(doc("hello-a-b", "x", ""), "name: hello}", "name: hello-a}", 1))
	if err == nil || !strings.Contains(err.Error(), "hello-a-b belongs to service") {
		t.Errorf("%v", err)
	}
}

func TestAnnotationErrorsHaveAPlace(t *testing.T) {
	b := newBook(t)
	err := b.apply("apiVersion: serving.knative.dev/v1\nkind: Service\nmetadata: {name: hello}\nspec:\n  template:\n    metadata:\n      annotations:\n        autoscaling.knative.dev/window: 1s\n    spec: {containers: [{image: known}]}\n")
	if err == nil || !strings.Contains(err.Error(), "f.yaml:8: field spec.template.metadata.annotations[autoscaling.knative.dev/window]: should be a duration") {
		t.Errorf("%v", err)
	}
}

func TestCommands(t *testing.T) {
	const form = "apiVersion: serving.knative.dev/v1\nkind: Service\nmetadata: {name: hello}\nspec: {template: {spec: {containers: [{%s}]}}}\n"
	for container, want := range map[string]string{
		"image: known":                                `["run" "known"]`,
		"image: 'known:v2', args: [a]":                `["run" "known" "a"]`,
		"image: 'known@sha256:0'":                     `["run" "known"]`,
		"image: 'tagged:v1'":                          `["v1"]`,
		"image: known, command: [x, y], args: ['$A']": `["x" "y" "$A"]`,
		"image: 'tagged:v2'":                          "f.yaml:4: field spec.template.spec.containers[0].image: no command is known for tagged:v2, and it can't run in a container: containers are off: give the container a command whose program is on this machine, say -image 'tagged:v2=COMMAND', or install podman or docker and leave -runtime at auto",
		"image: 'host:5000/known'":                    "f.yaml:4:",
		"name: x":                                     "f.yaml:4: field spec.template.spec.containers[0].image: missing",
	} {
		b := newBook(t)
		err := b.apply(fmt.Sprintf(form, container))
		got := fmt.Sprint(err)
		if err == nil {
			got = fmt.Sprintf("%q", b.Services()[0].Latest.Command)
		}
		if !strings.HasPrefix(got, want) {
			t.Errorf("%s: got %s, want %s", container, got, want)
		}
	}
}

func TestSplit(t *testing.T) {
	for line, want := range map[string]string{
		"":                            `[]`,
		" a  b\tc\n":                  `["a" "b" "c"]`,
		`a 'b "c' "d 'e"`:             `["a" "b \"c" "d 'e"]`,
		`a\ b "c\"d\e" 'f\'`:          `["a b" "c\"d\\e" "f\\"]`,
		`'' ""x`:                      `["" "x"]`,
		"python -m http.server $PORT": `["python" "-m" "http.server" "$PORT"]`,
		`'a`:                          "error",
		`a\`:                          "error",
	} {
		words, err := Split(line)
		got := fmt.Sprintf("%q", words)
		if err != nil {
			got = "error"
		}
		if got != want {
			t.Errorf("%s: got %s, want %s", line, got, want)
		}
	}
}

func TestExpand(t *testing.T) {
	lookup := func(name string) (string, bool) { return "<" + name + ">", name == "A" || name == "PORT" }
	for in, want := range map[string]string{
		"":          "",
		"a$":        "a$",
		"$(A)":      "<A>",
		"$(A)$(B)-": "<A>$(B)-",
		"$$(A)":     "$(A)",
		"$A ${A}":   "$A ${A}",
		"-p=$(PORT": "-p=$(PORT",
		"$$$(A)":    "$<A>",
	} {
		if got := Expand(in, lookup); got != want {
			t.Errorf("%s: got %s, want %s", in, got, want)
		}
	}
}

func FuzzSplit(f *testing.F) {
	f.Add(`a 'b' "c\"" \d`)
	f.Fuzz(func(t *testing.T, line string) {
		words, err := Split(line)
		if err != nil {
			return
		}
		var quoted []string
		for _, w := range words {
			quoted = append(quoted, "'"+strings.ReplaceAll(w, "'", `'\''`)+"'")
		}
		again, err := Split(strings.Join(quoted, " "))
		if err != nil || !slices.Equal(words, again) {
			t.Errorf("%q became %q, %v", words, again, err)
		}
	})
}

// What the manifest's table calls done is what the autoscaler reads.
func TestQ3TheAutoscalerKnowsEachAnnotation(t *testing.T) {
	set, err := manifest.Load(manifest.Input{Paths: []string{"../manifest/testdata/autoscaling.yaml"}})
	if err != nil {
		t.Fatal(err)
	}
	c := New(Config{Scaling: autoscaler.Standard(), Images: map[string][]string{"gcr.io/knative-samples/helloworld-go": {"hello"}}})
	plan, err := c.Plan(set.Services)
	if err != nil {
		t.Fatal(err)
	}
	plan.Commit()
	s := c.Services()[0].Latest.Scaling
	if s.Min != 0 || s.Max != 4 || s.Activation != 2 || s.Metric != autoscaler.RPS || s.Target != 16 {
		t.Errorf("%+v", s)
	}
	for _, row := range manifest.Rows() {
		name, ours := strings.CutPrefix(row.Name, autoscaler.Prefix)
		if !ours || row.Class != manifest.Done {
			continue
		}
		if set.Services[0].Template.Annotation(row.Name) == "" {
			t.Errorf("%s is not in the test's manifest", name)
		}
	}
}

// Each container has to have a command of its own.
func TestQ1SidecarsNeedCommands(t *testing.T) {
	b := newBook(t)
	err := b.apply("apiVersion: serving.knative.dev/v1\nkind: Service\nmetadata: {name: hello}\nspec:\n  template:\n    spec:\n      initContainers:\n      - {name: a, image: one}\n" +
		"      containers:\n      - {name: b, image: known, ports: [{containerPort: 80}]}\n      - {name: c, image: two}\n")
	got := fmt.Sprint(err)
	for _, want := range []string{
		"f.yaml:8: field spec.template.spec.initContainers[0].image: no command is known for one, and",
		"f.yaml:11: field spec.template.spec.containers[1].image: no command is known for two, and",
	} {
		if !strings.Contains(got, want) {
			t.Errorf("got %s\nwant %s", got, want)
		}
	}
}

// An app and its sidecars run the same way, as they share ports.
func TestSidecarsRunAsTheirAppDoes(t *testing.T) {
	const form = "apiVersion: serving.knative.dev/v1\nkind: Service\nmetadata: {name: hello}\nspec:\n  template:\n    spec:\n" +
		"      initContainers: [{name: i, command: [once]}, {name: s, restartPolicy: Always, %s}]\n      containers:\n      - {name: a, ports: [{containerPort: 80}], %s}\n      - {name: b, %s}\n"
	for _, c := range []struct {
		stays, app, sidecar string
		apart               bool // containers don't share this machine's network
		want                string
	}{
		{"image: box", "image: box", "image: box", true, "[[once] []] [] [[]]"},
		{"command: [sh]", "command: [sh]", "command: [sh]", true, "[[once] [sh]] [sh] [[sh]]"},
		{"{image: box, command: [sh]}", "image: box", "image: box, command: [sh]", true, "[[once] []] [] [[]]"},
		{"image: box", "command: [sh]", "image: known", false, "[[once] []] [sh] [[run known]]"},
		{
			"command: [sh]", "command: [sh]", "image: box", true,
			"f.yaml:10: field spec.template.spec.containers[1].image: box would run in a container, whose ports the app, a command, does not share on this system: give both a command, or neither",
		},
		{
			"image: box", "image: box", "image: known", false,
			"f.yaml:10: field spec.template.spec.containers[1].image: known is run as a command here, and the app, box, in a container, with which a command does not share ports: say -image 'box=COMMAND' too, or no -image for known",
		},
		{"image: box", "image: box", "command: [sh]", false, "f.yaml:10: field spec.template.spec.containers[1].image: missing: beside an app that runs in a container a sidecar needs an image, too"},
		{"image: box", "image: box", "image: other, command: [sh]", false, "f.yaml:10: field spec.template.spec.containers[1].image: the app runs in a container, and other can't: no box"},
	} {
		b := newBook(t)
		b.config.HostNetwork = !c.apart
		b.config.Contained = func(image string) error {
			if image != "box" {
				return errors.New("no box")
			}
			return nil
		}
		err := b.apply(fmt.Sprintf(form, strings.Trim(c.stays, "{}"), c.app, c.sidecar))
		got := fmt.Sprint(err)
		if err == nil {
			r := b.Services()[0].Latest
			got = fmt.Sprint(r.Init, r.Command, r.Sidecars)
			if of := b.Contained(&r.Template, &r.Template.Sidecars[0]); of != (r.Sidecars[0] == nil) {
				t.Errorf("%+v: contained: %v", c, of)
			}
		}
		if got != c.want {
			t.Errorf("%+v:\ngot  %s\nwant %s", c, got, c.want)
		}
	}
}
