package clients

import (
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"
)

const walkFile = "../../docs/walk.md"

// walk is a text with commands, which it runs, and their output.
type walk struct {
	t *testing.T
	b strings.Builder
	k *terminal
	q *quickstart
}

// say adds a paragraph.
func (w *walk) say(text string) { fmt.Fprintf(&w.b, "%s\n\n", strings.TrimSpace(text)) }

// show adds a command and its output.
func (w *walk) show(line, output string) {
	port := fmt.Sprintf(":%d", w.q.port)
	output = strings.NewReplacer(
		port+"  ", ":8080"+strings.Repeat(" ", 2+len(port)-len(":8080")), // in a table
		port, ":8080",
		fmt.Sprintf("-port %d", w.q.port), "-port 8080",
		w.q.dir, "/home/me",
		w.k.dir, "/home/me",
	).Replace("$ " + line + "\n" + output)
	output = regexp.MustCompile(`(?m)[ \r]+$`).ReplaceAllString(output, "")
	fmt.Fprintf(&w.b, "```console\n%s\n```\n\n", strings.TrimRight(output, "\n"))
}

// run runs a command that has to succeed.
func (w *walk) run(line string, want ...string) {
	w.t.Helper()
	w.show(line, w.k.ok(line, want...))
}

// TestWalk is the walk through Knative's tutorial, with kubectl and then with kn, as docs/walk.md shows it.
func TestWalk(t *testing.T) {
	t.Parallel()
	q := newQuickstart(t, "-stable-window", "6s", "-scale-to-zero-grace-period", "0s")
	k := newTerminal(t, q)
	w := &walk{t: t, k: k, q: q}
	w.say(`
# A walk with kubectl and kn

This is Knative's tutorial against the quickstart instead of a cluster: a first Service, scaling from zero and back, a second revision, and a split of
traffic; then [events](#events), from a source through a broker to Services. The commands are those for a cluster.
[A test](../e2e/clients/walk_test.go) runs them with the real kubectl and kn, and writes this file:
` + "`cd e2e/clients && go test -run TestWalk -update`.")

	w.say("## Start\n\nWith `-f=` the quickstart serves no files, only what comes over its API. Idle replicas end after six seconds here; without the flags it is a minute and a half.")
	q.until(func(out string) bool { return strings.Contains(out, "export KUBECONFIG=") })
	w.show("quickstart "+strings.Join(q.args, " "), q.out.String())
	w.say("In a second terminal, paste the command that it prints. From then on kubectl, kn and other clients of Kubernetes talk to the quickstart.")
	w.show("export KUBECONFIG="+q.kubeconfig, "")
	w.run("kubectl get ksvc", `No resources found in default namespace`)

	w.say("## A first Service")
	w.run("cat hello.yaml")
	w.run("kubectl apply -f hello.yaml", `^service.serving.knative.dev/hello created$`)
	w.run("kubectl wait ksvc hello --for=condition=Ready", "condition met")
	w.run("kubectl get ksvc", `^NAME +URL +LATESTCREATED +LATESTREADY +READY +REASON$`, `^hello +http://hello\.default\.\S+ +hello-00001 +hello-00001 +True`)
	k.until("kubectl get pod", "No resources found")

	w.say(`
## From zero and back

A Service without requests has no pods. Watch them in a third terminal: the first request starts one, and it ends when there have been no requests for
a while. curl and browsers find names below localhost without DNS.`)
	curl := fmt.Sprintf("curl -s http://hello.default.localhost:%d", q.port)
	answer, watched := w.fromZero(curl)
	w.show(curl, answer)
	w.show("kubectl get pod -w", distinct(watched))
	k.check("kubectl get pod -w", watched, []string{`0/2 +ContainerCreating`, `1/2 +Running`, `2/2 +Running`, `Terminating`})

	w.say("## A second revision\n\nEach change of the template is a new revision. When it is ready, it gets all traffic.")
	k.write("hello.yaml", strings.Replace(hello, "World", "Knative", 1))
	w.run("grep -A 1 TARGET hello.yaml", "Knative")
	w.run("kubectl apply -f hello.yaml", `configured`)
	w.run("kubectl wait ksvc hello --for=condition=Ready", "condition met")
	w.run(curl, `^Hello Knative!$`)
	w.run("kubectl get revisions", `^hello-00001 +hello +1 +True`, `^hello-00002 +hello +2 +True`)

	w.say("## A split\n\nHalf of the requests go to each revision; with its tag, each has a URL of its own.")
	split := strings.TrimRight(strings.Replace(hello, "World", "Knative", 1), "\n") + `
  traffic:
    - revisionName: hello-00001
      percent: 50
      tag: world
    - revisionName: hello-00002
      percent: 50
      tag: knative
`
	k.write("hello.yaml", split)
	w.run("grep -A 8 traffic: hello.yaml", "percent: 50")
	w.run("kubectl apply -f hello.yaml", `configured`)
	w.run("kubectl wait ksvc hello --for=condition=Ready", "condition met")
	w.run("for i in $(seq 20); do "+curl+"; done | sort | uniq -c", `\d Hello Knative!$`, `\d Hello World!$`)
	w.run(`kubectl get route hello -o jsonpath='{range .status.traffic[*]}{.percent}% {.revisionName} {.url}{"\n"}{end}'`,
		`^50% hello-00001 http://world-hello`, `^50% hello-00002 http://knative-hello`)
	w.run(fmt.Sprintf("curl -s http://world-hello.default.localhost:%d", q.port), `^Hello World!$`)
	w.run("kubectl get ksvc,route,configuration,revision", `^service.serving.knative.dev/hello `, `^route.serving.knative.dev/hello `,
		`^configuration.serving.knative.dev/hello `, `^revision.serving.knative.dev/hello-00002 `)
	w.run("kubectl logs -l serving.knative.dev/revision=hello-00001 -c user-container", "helloworld: listening")

	w.say("## The end\n\nWith the Service goes all that was made from it.")
	w.run("kubectl delete -f hello.yaml", `deleted`)
	w.run("kubectl get ksvc,route,configuration,revision", `No resources found`)

	w.kn(curl)
	w.events()

	w.say("# What else works\n\n[A table of tests](../e2e/clients/verbs_test.go) runs these with the real kubectl:")
	w.table("| kubectl | on |", slices.Concat(verbs, eventingVerbs))
	w.say("and [another](../e2e/clients/kn_test.go) these with the real kn:")
	w.table("| command | options |", knVerbs)
	w.compare()
}

// kn is the second half, with kn. What depends on whether a replica still runs is shown when none does.
func (w *walk) kn(curl string) {
	idle := func() { w.k.until("kubectl get pod", "No resources found") }
	w.say("## The same with kn\n\nkn needs no files. It returns when the Service is ready.")
	w.run("kn service create hello --image "+image+" --env TARGET=World --revision-name=world", `latest revision 'hello-world'`)
	w.run(curl, `^Hello World!$`)
	w.run("kn service list", `^hello .* 3 OK / 3 +True`)
	w.run("kn service update hello --env TARGET=Knative --revision-name=knative", `latest revision 'hello-knative'`)
	w.run(curl, `^Hello Knative!$`)

	w.say("A split, with a tag and so a URL for each revision:")
	w.run("kn service update hello --traffic hello-world=50,hello-knative=50 --tag hello-world=world,hello-knative=knative", `\(unchanged\)`)
	w.run("for i in $(seq 20); do "+curl+"; done | sort | uniq -c", `\d Hello Knative!$`, `\d Hello World!$`)
	w.run("kn route describe hello", `^ +50% +hello-world #world$`, `^ +50% +hello-knative #knative$`)
	idle()
	w.run("kn service describe hello", `^ +50% +hello-world #world`, `Replicas: +0/0`)
	w.run("kn revision list", `^hello-knative +hello +50% +knative`, `^hello-world +hello +50% +world`)

	w.say("Back to one revision. One that has traffic or a tag can't be deleted.")
	w.show("kn revision delete hello-world", w.k.fails("kn revision delete hello-world", `is forbidden`))
	w.run("kn service update hello --untag world --traffic hello-knative=100")
	w.run("kn revision delete hello-world", `deleted`)
	w.run("kn revision describe hello-knative", `^Env: +TARGET=Knative$`)

	w.say("Other programs read JSON, YAML, names or URLs.")
	w.run("curl -s $(kn service describe hello -o url)", `^Hello Knative!$`)
	w.run("kn service describe hello -o jsonpath='{.status.latestReadyRevisionName}{\"\\n\"}'", `^hello-knative$`)
	w.run("kn route list -o name", `^route.serving.knative.dev/hello$`)
	w.run("kn service delete hello --wait", `deleted`)
	w.show("kn service describe hello", w.k.fails("kn service describe hello", `not found`))

	w.say("`kn service apply` takes what is no longer given from the Service, as `kubectl apply` does.")
	apply := "kn service apply hello --image " + image
	w.run(apply+" --env TARGET=apply", `created`)
	w.run(apply+" --env TARGET=apply", `No changes`)
	w.run(apply, `applied`)
	w.run("kn service delete --all", `deleted`)
}

// table adds a table of what is tested.
func (w *walk) table(head string, rows []row) {
	fmt.Fprintf(&w.b, "%s\n|---|---|\n", head)
	for _, r := range rows {
		fmt.Fprintf(&w.b, "| %s | %s |\n", r.verb, r.kinds)
	}
	w.b.WriteString("\n")
}

// fromZero sends a request while there are no pods, and returns its answer and what kubectl get pod -w has shown until there are
// none again.
func (w *walk) fromZero(curl string) (answer, watched string) {
	w.t.Helper()
	for wait := time.Second; ; wait *= 2 {
		job := w.k.start("kubectl get pod -w")
		time.Sleep(wait) // it writes nothing when its watch starts
		answer = w.k.ok(curl, `^Hello World!$`)
		job.until("Terminating")
		w.k.until("kubectl get pod", "No resources found")
		time.Sleep(200 * time.Millisecond) // the last lines may be under way
		job.end()
		if watched = job.out.String(); matches(watched, "0/2 +ContainerCreating") || wait > patience/4 {
			return answer, watched
		}
	}
}

// distinct leaves out lines that are as the line before, but for the age: kubectl writes one for each change of the object.
func distinct(text string) string {
	var b strings.Builder
	before := ""
	for line := range strings.Lines(text) {
		if like := comparable(line); like != before {
			b.WriteString(line)
			before = like
		}
	}
	return b.String()
}

// varying are what differs from run to run, and what it is replaced by for comparison.
var varying = []struct {
	expression *regexp.Regexp
	by         string
}{
	{regexp.MustCompile(`\b[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}\b`), "UID"},
	{regexp.MustCompile(`(?m)^Date: .*GMT$`), "Date: TIME"},
	{regexp.MustCompile(`\b20\d\d-\d\d-\d\dT[\d:.]+Z`), "TIME"},
	{regexp.MustCompile(`\b([a-z-]+-\d{5}-)\d+-[0-9a-f]{4}\b`), "${1}HASH"}, // names of pods
	{regexp.MustCompile(`\b127\.0\.0\.1:\d+`), "127.0.0.1:PORT"},
	{regexp.MustCompile(`\b(\d+(\.\d+)?(ms|m|s))+( ago)?\b`), "AGE"},
	{regexp.MustCompile(`(?m)^ +\d+ (Hello .*)$`), "COUNT $1"},
	{regexp.MustCompile(`(?m)(True +)\d +\d$`), "${1}N N"}, // replicas of a revision
	{regexp.MustCompile(`(?m)[ \t]+`), " "},                // columns are as wide as their longest value
}

func comparable(text string) string {
	for _, v := range varying {
		text = v.expression.ReplaceAllString(text, v.by)
	}
	return text
}

// compare compares the walk with docs/walk.md, or writes it.
func (w *walk) compare() {
	got := strings.TrimRight(w.b.String(), "\n") + "\n"
	if *update && !w.t.Failed() {
		if err := os.WriteFile(filepath.FromSlash(walkFile), []byte(got), 0o644); err != nil {
			w.t.Fatal(err)
		}
		return
	}
	want, err := os.ReadFile(filepath.FromSlash(walkFile))
	if err != nil {
		w.t.Fatal(err)
	}
	gotLines, wantLines := strings.Split(comparable(got), "\n"), strings.Split(comparable(string(want)), "\n")
	for i := range max(len(gotLines), len(wantLines)) {
		line := func(of []string) string {
			if i < len(of) {
				return of[i]
			}
			return "the end"
		}
		if line(gotLines) != line(wantLines) {
			w.t.Fatalf("line %d of docs/walk.md differs: go test -run TestWalk -update writes it\ngot  %s\nwant %s\nall of it:\n%s", i+1, line(gotLines), line(wantLines), got)
		}
	}
}
