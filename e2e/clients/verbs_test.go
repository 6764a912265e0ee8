package clients

import (
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"
)

// session is a terminal in a namespace of its own.
type session struct {
	*terminal
	q         *quickstart
	namespace string
}

// revision applies hello.yaml with another value of TARGET and waits until it is served.
func (s *session) revision(target string) {
	s.t.Helper()
	s.write("hello.yaml", strings.Replace(hello, "World", target, 1))
	s.ok("kubectl apply -f hello.yaml", `(created|configured)$`)
	s.ok("kubectl wait ksvc hello --for=condition=Ready --timeout=60s", "condition met")
	s.asks("Hello " + target + "!")
}

// asks sends a request to the service hello, which starts a pod if there is none.
func (s *session) asks(want string) {
	s.t.Helper()
	s.until("curl -sS --max-time 60 "+s.q.url(s.namespace, "hello"), "^"+want+"$")
}

const settings = `apiVersion: v1
kind: ConfigMap
metadata:
  name: settings
  labels: {team: web}
data:
  color: blue
  size: "3"
`

// row is a verb and what it has to do here. It has its name from the verb and the kinds; its commands run in a namespace of its
// own, beside the others.
type row struct {
	verb, kinds string
	test        func(s *session)
}

// verbs are the commands of kubectl that people use.
var verbs = []row{
	{"create -f", "ksvc", func(s *session) {
		s.ok("kubectl create -f hello.yaml", `^service.serving.knative.dev/hello created$`)
		s.fails("kubectl create -f hello.yaml", `AlreadyExists`, `services.serving.knative.dev "hello" already exists`)
		s.ok("kubectl wait ksvc/hello --for=condition=Ready", "condition met")
		s.asks("Hello World!")
	}},
	{"create", "configmap, secret, namespace", func(s *session) {
		s.ok("kubectl create configmap settings --from-literal=color=blue --from-file=hello.yaml", `^configmap/settings created$`)
		s.ok("kubectl get configmap settings -o jsonpath='{.data.color} {.data.hello\\.yaml}'", `^blue apiVersion`)
		s.ok("kubectl create secret generic key --from-literal=key=s3cret", `^secret/key created$`)
		s.ok("kubectl get secret key -o jsonpath='{.type} {.data.key}'", `^Opaque czNjcmV0$`)
		s.ok("kubectl get cm,secret", `^configmap/settings +2 +\d+s$`, `^secret/key +Opaque +1 +\d+s$`)
		s.ok("kubectl create namespace "+s.namespace+"-too", `created$`)
		s.ok("kubectl get ns "+s.namespace+"-too", `Active`)
		s.ok("kubectl delete ns "+s.namespace+"-too", `deleted`)
	}},
	{"create --validate=strict", "ksvc", func(s *session) {
		s.write("wrong.yaml", strings.Replace(hello, "containers:", "container:", 1))
		s.fails("kubectl create --validate=strict -f wrong.yaml", `unknown field "spec.template.spec.container"`)
		s.write("wrong.yaml", strings.Replace(hello, "          ports:", "          prots: []\n          ports:", 1))
		s.fails("kubectl create --validate=true -f wrong.yaml", `unknown field "spec.template.spec.containers\[0\].prots"`)
		s.ok("kubectl create --validate=warn -f wrong.yaml", `Warning: .*unknown field "spec.template.spec.containers\[0\].prots"`, `created$`)
		s.ok("kubectl get ksvc hello -o yaml", `!prots`)
		s.ok("kubectl delete ksvc hello")
		s.ok("kubectl create --validate=false -f wrong.yaml", `!Warning.*unknown`, `created$`)
	}},
	{"create, with an error in a field", "ksvc", func(s *session) {
		s.write("wrong.yaml", strings.Replace(hello, "containerPort: 8080", "containerPort: 80800", 1))
		s.fails("kubectl create -f wrong.yaml", `is invalid`, `spec.template.spec.containers\[0\].ports\[0\].containerPort`)
		s.write("wrong.yaml", strings.Replace(hello, "ghcr.io/knative/helloworld-go:latest", "example.com/none", 1))
		s.fails("kubectl create -f wrong.yaml", `spec.template.spec.containers\[0\].image`)
		s.ok("kubectl get ksvc", "No resources found")
	}},
	{"create, a kind that isn't served", "deployment, job, gateway", func(s *session) {
		s.fails("kubectl create deployment web --image=nginx", `(?i)quickstart|not served|made from a Revision`)
		s.fails("kubectl create job once --image=busybox", `(?i)quickstart`)
		s.fails("kubectl run nginx --image=nginx", `(?i)quickstart|autoscaler`)
		s.fails("kubectl get gateways", `(?i)the server doesn't have a resource type|quickstart`)
	}},
	{"apply", "ksvc", func(s *session) {
		s.ok("kubectl apply -f hello.yaml", `^service.serving.knative.dev/hello created$`)
		// It compares lists as a whole, as with every custom resource, and here are defaults in one: it sends a patch that changes nothing.
		s.ok("kubectl apply -f hello.yaml", `^service.serving.knative.dev/hello (configured|unchanged)$`)
		s.ok("kubectl get ksvc hello -o jsonpath={.metadata.generation}", `^1$`)
		s.asks("Hello World!")
		s.write("hello.yaml", strings.Replace(hello, "World", "Knative", 1))
		s.ok("kubectl apply -f hello.yaml", `^service.serving.knative.dev/hello configured$`)
		s.asks("Hello Knative!")
		s.ok("kubectl get revisions", `^hello-00001 `, `^hello-00002 `)
		// What is no longer in the file is removed from the object.
		s.write("hello.yaml", hello[:strings.Index(hello, "          env:")])
		s.ok("kubectl apply -f hello.yaml", `configured$`)
		s.ok("kubectl get ksvc hello -o jsonpath='{.spec.template.spec.containers[0].env}'", `^$`)
	}},
	{"apply", "configmap, secret, namespace", func(s *session) {
		s.write("all.yaml", settings+"---\napiVersion: v1\nkind: Secret\nmetadata: {name: key}\nstringData: {key: s3cret}\n---\napiVersion: v1\nkind: Namespace\nmetadata: {name: "+s.namespace+"-b}\n")
		s.ok("kubectl apply -f all.yaml", `^configmap/settings created$`, `^secret/key created$`, `^namespace/\S+-b created$`)
		s.ok("kubectl apply -f all.yaml", `^configmap/settings unchanged$`, `^namespace/\S+-b unchanged$`)
		s.ok("kubectl get secret key -o jsonpath={.data.key}", `^czNjcmV0$`)
		s.write("all.yaml", strings.Replace(settings, "  color: blue\n", "", 1))
		s.ok("kubectl apply -f all.yaml", `^configmap/settings configured$`)
		s.ok("kubectl get cm settings -o jsonpath={.data}", `^\{"size":"3"\}$`)
		s.ok("kubectl delete ns " + s.namespace + "-b")
	}},
	{"apply -k", "kustomization", func(s *session) {
		s.write("kustomization.yaml", "resources: [hello.yaml]\nnameSuffix: -k\nconfigMapGenerator: [{name: settings, literals: [a=b]}]\n")
		s.ok("kubectl apply -k .", `^configmap/settings-k-\S+ created$`, `^service.serving.knative.dev/hello-k created$`)
	}},
	{"apply --server-side", "ksvc, configmap", func(s *session) {
		s.ok("kubectl apply --server-side -f hello.yaml", `serverside-applied`)
		s.asks("Hello World!")
		s.ok("kubectl get ksvc hello -o yaml --show-managed-fields", `manager: kubectl`, `operation: Apply`, `f:template`)
		s.write("cm.yaml", settings)
		s.ok("kubectl apply --server-side -f cm.yaml", `^configmap/settings serverside-applied$`)
		s.write("theirs.yaml", strings.Replace(settings, "blue", "red", 1))
		s.fails("kubectl apply --server-side --field-manager=them -f theirs.yaml", `conflict with "kubectl"`, `\.data\.color`)
		s.ok("kubectl get cm settings -o jsonpath={.data.color}", `^blue$`)
		s.ok("kubectl apply --server-side --field-manager=them --force-conflicts -f theirs.yaml", `serverside-applied$`)
		s.ok("kubectl get cm settings -o jsonpath={.data.color}", `^red$`)
		s.fails("kubectl apply --server-side -f cm.yaml", `conflict with "them"`)
		s.write("cm.yaml", strings.Replace(strings.Replace(settings, "  color: blue\n", "", 1), `size: "3"`, "shape: round", 1))
		s.ok("kubectl apply --server-side -f cm.yaml", `serverside-applied$`)
		s.ok("kubectl get cm settings -o jsonpath={.data}", `"color":"red"`, `"shape":"round"`)
	}},
	{"apply --prune", "configmap", func(s *session) {
		s.write("all.yaml", settings+"---\n"+strings.Replace(settings, "name: settings", "name: others", 1))
		s.ok("kubectl apply --prune -l team=web --prune-allowlist=core/v1/ConfigMap -f all.yaml", `^configmap/others created$`)
		s.write("all.yaml", settings)
		s.ok("kubectl apply --prune -l team=web --prune-allowlist=core/v1/ConfigMap -f all.yaml", `^configmap/settings unchanged$`, `^configmap/others pruned$`)
		s.ok("kubectl get cm", `^settings `, `!^others `)
	}},
	{"--dry-run", "ksvc, configmap", func(s *session) {
		s.ok("kubectl apply --dry-run=server -f hello.yaml", `created \(server dry run\)$`)
		s.ok("kubectl apply --dry-run=client -f hello.yaml", `created \(dry run\)$`)
		s.ok("kubectl get ksvc", `No resources found`)
		s.write("wrong.yaml", strings.Replace(hello, "containerPort: 8080", "containerPort: 0.5", 1))
		s.fails("kubectl apply --dry-run=server -f wrong.yaml", `containerPort`)
		s.revision("World")
		s.ok("kubectl delete ksvc hello --dry-run=server", `deleted.*\(server dry run\)$`)
		s.ok("kubectl patch ksvc hello --type=merge -p '{\"metadata\":{\"labels\":{\"a\":\"b\"}}}' --dry-run=server -o yaml", `a: b`)
		s.ok("kubectl get ksvc hello -o jsonpath={.metadata.labels}", `^$`)
		s.ok("kubectl create configmap c --from-literal=a=b --dry-run=client -o yaml | kubectl apply -f -", `^configmap/c created$`)
	}},
	{"diff", "ksvc, configmap", func(s *session) {
		s.fails("kubectl diff -f hello.yaml", `^\+kind: Service$`)
		s.ok("kubectl apply -f hello.yaml")
		s.ok("kubectl diff -f hello.yaml", `^$`)
		s.write("hello.yaml", strings.Replace(hello, "World", "Knative", 1))
		s.fails("kubectl diff -f hello.yaml", `^- +value: World$`, `^\+ +value: Knative$`)
		s.ok("kubectl get ksvc hello -o yaml", `value: World`)
	}},
	{"edit", "ksvc, configmap", func(s *session) {
		s.revision("World")
		s.write("editor", "#!/bin/sh\nexec sed -i s/World/Editor/ \"$1\"\n")
		s.ok("KUBE_EDITOR=./editor kubectl edit ksvc hello", `^service.serving.knative.dev/hello edited$`)
		s.asks("Hello Editor!")
		s.ok("KUBE_EDITOR=true kubectl edit ksvc hello", `cancelled, no changes made`)
		s.write("cm.yaml", settings)
		s.ok("kubectl apply -f cm.yaml")
		s.write("editor", "#!/bin/sh\nexec sed -i 's/  color: blue/  color: red/' \"$1\"\n")
		s.ok("KUBE_EDITOR=./editor kubectl edit cm settings", `^configmap/settings edited$`)
		s.ok("kubectl get cm settings -o jsonpath={.data.color}", `^red$`)
	}},
	{"patch --type=merge", "ksvc", func(s *session) {
		s.revision("World")
		s.ok(`kubectl patch ksvc hello --type=merge -p '{"spec":{"template":{"metadata":{"annotations":{"autoscaling.knative.dev/max-scale":"3"}}}}}'`, `patched$`)
		s.ok("kubectl wait ksvc hello --for=jsonpath='{.status.latestReadyRevisionName}'=hello-00002", `condition met`)
		s.ok("kubectl get revision hello-00002 -o yaml", `max-scale: "3"`)
		s.ok(`kubectl patch ksvc hello --type=merge -p '{"metadata":{"labels":{"a":"b"}}}'`, `patched$`)
		s.ok(`kubectl patch ksvc hello --type=merge -p '{"metadata":{"labels":{"a":"b"}}}'`, `patched \(no change\)$`)
		s.ok("kubectl get revisions", `!hello-00003`) // the template has not changed
		s.fails(`kubectl patch ksvc none --type=merge -p '{}'`, `NotFound`)
		s.fails(`kubectl patch ksvc hello --type=merge -p '{"spec":{"template":{"spec":{"timeoutSeconds":-5}}}}'`, `timeoutSeconds`)
	}},
	{"patch --type=json", "ksvc, configmap", func(s *session) {
		s.revision("World")
		s.ok(`kubectl patch ksvc hello --type=json -p '[{"op":"replace","path":"/spec/template/spec/containers/0/env/0/value","value":"JSON"}]'`, `patched$`)
		s.asks("Hello JSON!")
		s.fails(`kubectl patch ksvc hello --type=json -p '[{"op":"test","path":"/spec/template/spec/containers/0/image","value":"x"}]'`, `(?i)test`)
		s.write("cm.yaml", settings)
		s.ok("kubectl apply -f cm.yaml")
		s.ok(`kubectl patch cm settings --type=json -p '[{"op":"remove","path":"/data/color"}]'`, `patched$`)
		s.ok("kubectl get cm settings -o jsonpath={.data}", `^\{"size":"3"\}$`)
	}},
	{"patch (strategic)", "configmap, namespace, ksvc", func(s *session) {
		s.write("cm.yaml", settings)
		s.ok("kubectl apply -f cm.yaml")
		s.ok(`kubectl patch cm settings -p '{"data":{"color":null,"shape":"round"}}'`, `^configmap/settings patched$`)
		s.ok("kubectl get cm settings -o jsonpath={.data}", `^\{"shape":"round","size":"3"\}$`)
		s.ok(`kubectl patch ns `+s.namespace+` -p '{"metadata":{"labels":{"team":"web"}}}'`, `patched$`)
		s.ok("kubectl apply -f hello.yaml")
		s.fails(`kubectl patch ksvc hello -p '{"metadata":{"labels":{"a":"b"}}}'`, `(?i)strategic|UnsupportedMediaType|unsupported`)
	}},
	{"replace", "ksvc, configmap", func(s *session) {
		s.fails("kubectl replace -f hello.yaml", `NotFound`)
		s.revision("World")
		s.write("hello.yaml", strings.Replace(hello, "World", "Replace", 1))
		s.ok("kubectl replace -f hello.yaml", `replaced$`)
		s.asks("Hello Replace!")
		s.ok("kubectl get ksvc hello -o yaml > old.yaml")
		s.ok("kubectl label ksvc hello a=b", `labeled$`)
		s.fails("kubectl replace -f old.yaml", `Conflict`, `the object has been modified`)
		s.ok("kubectl replace --force -f hello.yaml", `deleted`, `replaced$`)
		s.asks("Hello Replace!")
	}},
	{"delete", "ksvc", func(s *session) {
		s.revision("World")
		s.ok("kubectl delete ksvc hello", `^service.serving.knative.dev "hello" deleted`)
		s.until("kubectl get all", "No resources found") // replicas end in order
		s.until("curl -sS -o /dev/null -w '%{http_code}' "+s.q.url(s.namespace, "hello"), `^404$`)
		s.fails("kubectl delete ksvc hello", `NotFound`)
		s.ok("kubectl delete ksvc hello --ignore-not-found", `^$`)
		s.ok("kubectl apply -f hello.yaml")
		s.ok("kubectl delete -f hello.yaml --wait=false", `deleted`)
		s.ok("kubectl apply -f hello.yaml")
		s.ok("kubectl delete ksvc --all", `deleted`)
	}},
	{"delete", "revision", func(s *session) {
		s.revision("World")
		s.fails("kubectl delete revision hello-00001", `(?i)forbidden|traffic`)
		s.revision("Knative")
		s.ok("kubectl delete revision hello-00001", `^revision.serving.knative.dev "hello-00001" deleted`)
		s.ok("kubectl get revisions", `!hello-00001`, `^hello-00002 `)
		s.asks("Hello Knative!")
	}},
	{"delete", "namespace, configmap, secret", func(s *session) {
		s.write("cm.yaml", settings)
		s.ok("kubectl apply -f cm.yaml")
		s.ok("kubectl delete cm -l team=web", `^configmap "settings" deleted`)
		s.revision("World")
		s.ok("kubectl apply -f cm.yaml")
		s.ok("kubectl create secret generic key --from-literal=key=s3cret")
		s.ok("kubectl delete namespace "+s.namespace, `^namespace "`+s.namespace+`" deleted`)
		s.ok("kubectl get ksvc,cm,secret,revision", `No resources found`)
		s.until("curl -sS -o /dev/null -w '%{http_code}' "+s.q.url(s.namespace, "hello"), `^404$`)
		s.fails("kubectl create -f hello.yaml", `namespaces "`+s.namespace+`" not found`)
	}},
	{"delete, what is made from something else", "pod, route, configuration, deployment", func(s *session) {
		s.revision("World")
		s.fails("kubectl delete route hello", `(?i)made from its Service`)
		s.fails("kubectl delete configuration hello", `(?i)made from its Service`)
		s.fails("kubectl delete deployment --all", `(?i)made from a Revision`)
		s.fails("kubectl delete pod --all", `(?i)autoscaler`)
	}},
	{"get", "every kind", func(s *session) {
		s.write("cm.yaml", settings)
		s.ok("kubectl apply -f cm.yaml")
		s.revision("World")
		s.ok("kubectl get ksvc", `^NAME +URL +LATESTCREATED +LATESTREADY +READY +REASON$`, `^hello +http://hello\.\S+ +hello-00001 +hello-00001 +True`)
		s.ok("kubectl get route", `^NAME +URL +READY +REASON$`, `^hello +http://hello\.\S+ +True`)
		s.ok("kubectl get configuration", `^NAME +LATESTCREATED +LATESTREADY +READY +REASON$`, `^hello +hello-00001 +hello-00001 +True`)
		s.ok("kubectl get revision", `^NAME +CONFIG NAME +GENERATION +READY +REASON +ACTUAL REPLICAS +DESIRED REPLICAS$`, `^hello-00001 +hello +1 +True +\d +\d$`)
		s.until("kubectl get pod", `^hello-00001-\S+ +2/2 +Running +0 +\d+s$`)
		s.ok("kubectl get deployment", `^hello-00001-deployment +1/1 +1 +1 +\d+s$`)
		s.ok("kubectl get svc", `^NAME +TYPE +CLUSTER-IP +EXTERNAL-IP +PORT\(S\) +AGE$`, `^hello +ExternalName`, `^hello-00001 +ClusterIP`, `^hello-00001-private +ClusterIP`)
		s.ok("kubectl get endpoints", `^hello-00001-private +127\.0\.0\.1:`)
		s.ok("kubectl get endpointslices", `IPv4.*127\.0\.0\.1`)
		s.ok("kubectl get kpa", `^hello-00001 +1 +1 +True`)
		s.ok("kubectl get sks", `^hello-00001 +(Serve|Proxy) `)
		s.ok("kubectl get king", `^hello +True`)
		s.ok("kubectl get cm,secret,ns", `^configmap/settings`, `^namespace/`+s.namespace+` +Active`)
		s.ok("kubectl get crd", `^NAME +CREATED AT$`, `^services\.serving\.knative\.dev +20\d\d-`, `^pingsources\.sources\.knative\.dev +20`, `!^pods`)
		s.fails("kubectl delete crd services.serving.knative.dev", `the quickstart has the kinds that it serves, and no others`)
		s.ok("kubectl get ksvc -A", `^NAMESPACE +NAME`, `^`+s.namespace+` +hello `)
		s.fails("kubectl get ksvc none", `services.serving.knative.dev "none" not found`)
		s.ok("kubectl get ksvc hello hello", `hello`)
	}},
	{"get all, categories", "all, knative, serving", func(s *session) {
		s.revision("World")
		s.ok("kubectl get all", `^service.serving.knative.dev/hello `, `^route.serving.knative.dev/hello `, `^configuration.serving.knative.dev/hello `,
			`^revision.serving.knative.dev/hello-00001 `, `^pod/hello-00001-`, `^deployment.apps/hello-00001-deployment `, `^service/hello-00001-private `)
		s.ok("kubectl get knative", `^service.serving.knative.dev/hello `)
		s.ok("kubectl get serving", `^revision.serving.knative.dev/hello-00001 `)
		s.ok("kubectl get knative-internal", `podautoscaler.autoscaling.internal.knative.dev/hello-00001 `)
	}},
	{"get -o", "ksvc, pod, configmap", func(s *session) {
		s.write("cm.yaml", settings)
		s.ok("kubectl apply -f cm.yaml")
		s.revision("World")
		s.ok("kubectl get ksvc hello -o yaml", `^apiVersion: serving.knative.dev/v1$`, `^kind: Service$`, `observedGeneration: 1$`, `type: ConfigurationsReady$`,
			`type: RoutesReady$`, `type: Ready$`, `latestRevision: true$`, `percent: 100$`, `url: http://hello\.`)
		s.ok("kubectl get ksvc hello -o json", `"kind": "Service"`)
		s.ok("kubectl get ksvc -o json", `"kind": "List"`)
		s.ok("kubectl get ksvc hello -o name", `^service.serving.knative.dev/hello$`)
		s.ok("kubectl get ksvc hello -o jsonpath='{.status.url}'", `^http://hello\.`)
		s.ok(`kubectl get revision -o jsonpath='{range .items[*]}{.metadata.name}{"\n"}{end}'`, `^hello-00001$`)
		s.ok("kubectl get ksvc hello -o go-template='{{.metadata.name}} {{.metadata.generation}}'", `^hello 1$`)
		s.ok("kubectl get ksvc -o custom-columns=N:.metadata.name,G:.metadata.generation", `^N +G$`, `^hello +1$`)
		s.ok("kubectl get pod -o wide", `IP +NODE`, `127\.0\.0\.1`)
		s.ok("kubectl get deployment -o wide", `CONTAINERS +IMAGES +SELECTOR$`, `user-container,queue-proxy`)
		s.ok("kubectl get cm settings --show-labels", `team=web$`)
		s.ok("kubectl get cm -L team", `TEAM$`, `web$`)
		s.ok("kubectl get ksvc --no-headers", `!NAME`)
		s.ok("kubectl get cm --sort-by=.metadata.name", `settings`)
		s.ok("kubectl get pod -o yaml", `phase: Running$`, `name: user-container$`, `name: queue-proxy$`)
	}},
	{"get -l, --field-selector", "ksvc, revision, pod, configmap", func(s *session) {
		s.revision("World")
		s.revision("Knative")
		s.ok("kubectl get revision -l serving.knative.dev/service=hello", `^hello-00001 `, `^hello-00002 `)
		s.ok("kubectl get revision -l serving.knative.dev/configurationGeneration=2 -o name", `^revision.serving.knative.dev/hello-00002\n$`)
		s.ok("kubectl get pod -l 'serving.knative.dev/revision in (hello-00002),!none' -o name", `^pod/hello-00002-`, `!hello-00001`)
		s.ok("kubectl get revision --field-selector metadata.name=hello-00001 -o name", `^revision.serving.knative.dev/hello-00001\n$`)
		s.until("kubectl get pod --field-selector status.phase=Running -o name", `^pod/hello-00002-`)
		s.fails("kubectl get cm --field-selector data.color=blue", `(?i)field`)
		s.fails("kubectl get cm -l 'a=='=b", `(?i)selector|parse|invalid`)
	}},
	{"get -w", "ksvc, configmap", func(s *session) {
		w := s.start("kubectl get ksvc -w --output-watch-events")
		names := s.start("kubectl get cm -w -o name")
		s.revision("World")
		w.until(`^(ADDED|MODIFIED) +hello +http://hello\.\S+ +hello-00001 +hello-00001 +True`)
		s.ok("kubectl delete ksvc hello")
		w.until(`^DELETED +hello `)
		s.write("cm.yaml", settings)
		s.ok("kubectl apply -f cm.yaml")
		names.until(`^configmap/settings$`)
		s.until("kubectl get ksvc -w --request-timeout=1s 2>&1; true", `^$`)
	}},
	{"get -w", "pod", func(s *session) {
		w := s.start("kubectl get pod -w")
		s.write("hello.yaml", strings.Replace(hello, "    spec:\n", "    metadata:\n      annotations: {autoscaling.knative.dev/window: 6s}\n    spec:\n", 1))
		s.ok("kubectl apply -f hello.yaml", `created$`)
		s.asks("Hello World!")
		for _, want := range []string{`0/2 +ContainerCreating`, `1/2 +Running`, `2/2 +Running`, `\d/2 +Terminating`} {
			w.until(`^hello-00001-\S+ +` + want)
		}
		s.until("kubectl get pod", "No resources found")
		s.ok("kubectl wait revision hello-00001 --for=condition=Active=False --timeout=60s", "condition met")
	}},
	{"describe", "ksvc, revision, pod, configmap, namespace, node", func(s *session) {
		s.write("cm.yaml", settings)
		s.ok("kubectl apply -f cm.yaml")
		s.revision("World")
		s.ok("kubectl describe ksvc hello", `^Name: +hello$`, `Latest Ready Revision Name: +hello-00001$`, `^Events:`)
		s.ok("kubectl describe revision hello-00001", `^Name: +hello-00001$`, `Type: +ContainerHealthy$`)
		s.until("kubectl describe pod", `^  user-container:$`)
		s.ok("kubectl describe pod", `^Name: +hello-00001-`, `^Status: +Running$`, `^  queue-proxy:$`, `^Controlled By: `, `^Events:`)
		s.ok("kubectl describe route,configuration", `^Name: +hello$`)
		s.ok("kubectl describe cm settings", `^color:$`)
		s.ok("kubectl describe ns "+s.namespace, `^Status: +Active$`)
		s.ok("kubectl describe deployment", `^Name: +hello-00001-deployment$`)
		s.ok("kubectl describe svc hello-00001-private", `^Endpoints: +127\.0\.0\.1:`)
	}},
	{"logs", "pod, deployment", func(s *session) {
		s.revision("World")
		pod := strings.TrimSpace(s.ok("kubectl get pod -o name"))
		s.until("kubectl logs "+pod+" -c user-container", `^helloworld: listening on`)
		s.ok("kubectl logs "+pod, `helloworld: listening on`)
		s.ok("kubectl logs " + pod + " -c queue-proxy") // which has nothing to complain about
		s.ok("kubectl logs "+pod+" -c user-container --tail=1", `^.*\n$`)
		s.ok("kubectl logs "+pod+" -c user-container --tail=0", `^$`)
		s.ok("kubectl logs "+pod+" -c user-container --timestamps", `^20\d\d-\d\d-\d\dT\S+Z helloworld`)
		s.ok("kubectl logs -l serving.knative.dev/service=hello -c user-container", `helloworld`)
		s.ok("kubectl logs "+pod+" --all-containers --prefix", `\[pod/\S+/user-container\] helloworld`)
		s.ok("kubectl logs deployment/hello-00001-deployment -c user-container", `helloworld`)
		s.fails("kubectl logs "+pod+" -c none", `(?i)container`)
		s.fails("kubectl logs none", `(?i)not found`)
	}},
	{"logs -f", "pod", func(s *session) {
		s.write("ticks.yaml", `apiVersion: serving.knative.dev/v1
kind: Service
metadata: {name: hello}
spec:
  template:
    metadata:
      annotations: {autoscaling.knative.dev/min-scale: "1"}
    spec:
      containers:
        - image: example.com/ticks
          command: [sh, -c, "i=0; while sleep 0.2; do i=$((i+1)); echo tick $i; done & exec python3 -m http.server $PORT --bind 127.0.0.1"]
`)
		s.ok("kubectl apply -f ticks.yaml")
		s.ok("kubectl wait ksvc hello --for=condition=Ready --timeout=60s")
		s.until("kubectl get pod", `2/2 +Running`)
		pod := strings.TrimSpace(s.ok("kubectl get pod -o name"))
		f := s.start("kubectl logs -f " + pod + " -c user-container")
		f.until(`^tick 1$`)
		f.until(`^tick 5$`)
		s.ok("kubectl logs -f "+pod+" -c user-container --limit-bytes=10", `^tick`)
		s.ok("kubectl delete ksvc hello")
		f.waits() // the stream ends with the pod
		if f.err != nil {
			s.t.Errorf("%v; output:\n%s", f.err, f.out)
		}
	}},
	{"logs, and what a crash looks like", "ksvc, pod, event", func(s *session) {
		s.write("crash.yaml", `apiVersion: serving.knative.dev/v1
kind: Service
metadata: {name: crash}
spec:
  template:
    metadata:
      annotations: {autoscaling.knative.dev/min-scale: "1"}
    spec:
      containers:
        - image: example.com/crash
          command: [sh, -c, "echo I give up; exit 3"]
`)
		s.ok("kubectl apply -f crash.yaml", `created$`)
		s.until("kubectl get pod", `(CrashLoopBackOff|Error) `)
		s.until("kubectl get ksvc", `^crash .* (False|Unknown) +\w+`)
		s.ok("kubectl logs -l serving.knative.dev/service=crash -c user-container", `^I give up$`)
		s.ok("kubectl logs -p $(kubectl get pod -o name) --since=1h", `^I give up$`)
		s.until("kubectl get revision crash-00001 -o jsonpath='{.status.conditions[?(@.type==\"Ready\")].reason}'", `^ExitCode3$`)
		s.until("kubectl get events", `(?i)back-?off|exit`)
	}},
	{"wait", "ksvc, pod, configmap", func(s *session) {
		s.fails("kubectl wait ksvc hello --for=condition=Ready --timeout=1s", `(?i)not found`)
		w := s.start("kubectl wait ksvc hello --for=create --timeout=60s")
		s.ok("kubectl apply -f hello.yaml")
		if got := w.waits(); w.err != nil {
			s.t.Errorf("wait --for=create: %v\n%s", w.err, got)
		}
		s.ok("kubectl wait ksvc hello --for=condition=Ready --timeout=60s", `^service.serving.knative.dev/hello condition met$`)
		s.ok("kubectl wait ksvc --all --for=condition=RoutesReady --timeout=60s", `condition met`)
		s.fails("kubectl wait ksvc hello --for=condition=Ready=False --timeout=1s", `timed out`)
		s.asks("Hello World!")
		s.ok("kubectl wait pod -l serving.knative.dev/service=hello --for=condition=Ready --timeout=60s", `condition met`)
		w = s.start("kubectl wait ksvc hello --for=delete --timeout=60s")
		w.until("") // it has started or will
		s.ok("kubectl delete ksvc hello")
		if got := w.waits(); w.err != nil {
			s.t.Errorf("wait --for=delete: %v\n%s", w.err, got)
		}
		s.ok("kubectl wait ksvc hello --for=delete --timeout=60s")
	}},
	{"label, annotate", "ksvc, configmap", func(s *session) {
		s.revision("World")
		s.write("cm.yaml", settings)
		s.ok("kubectl apply -f cm.yaml")
		s.ok("kubectl label ksvc hello tier=front", `labeled$`)
		s.ok("kubectl get ksvc -l tier=front -o name", `hello`)
		s.fails("kubectl label ksvc hello tier=back", `(?i)--overwrite`)
		s.ok("kubectl label --overwrite ksvc hello tier=back", `labeled$`)
		s.ok("kubectl label ksvc hello tier-", `(unlabeled|labeled)$`)
		s.ok("kubectl annotate cm settings note='a b'", `annotated$`)
		s.ok("kubectl get cm settings -o jsonpath={.metadata.annotations.note}", `^a b$`)
		s.ok("kubectl get revision", `!hello-00002`)
		s.fails("kubectl label route hello a=b", `(?i)made from its Service`)
	}},
	{"scale, autoscale, rollout, expose", "ksvc, deployment", func(s *session) {
		s.revision("World")
		s.fails("kubectl scale ksvc hello --replicas=2", `not served by the quickstart`)
		s.fails("kubectl scale deployment hello-00001-deployment --replicas=2", `not served by the quickstart`)
		s.fails("kubectl rollout restart ksvc hello", `.`)
		s.fails("kubectl rollout restart deployment hello-00001-deployment", `(?i)made from a Revision`)
		s.until("kubectl rollout status deployment hello-00001-deployment --timeout=20s", `successfully rolled out`)
		s.fails("kubectl expose deployment hello-00001-deployment --port=80", `(?i)quickstart`)
	}},
	{"exec, attach, port-forward, cp, proxy, top", "pod", func(s *session) {
		s.revision("World")
		pod := strings.TrimSpace(s.ok("kubectl get pod -o name"))
		s.fails("kubectl exec "+pod+" -c user-container -- true", `(?i)quickstart`)
		s.fails("kubectl port-forward "+pod+" :8080", `(?i)quickstart|error`)
		s.fails("kubectl top pod", `(?i)metrics`)
	}},
	{"events, get events", "ksvc, pod", func(s *session) {
		s.revision("World")
		s.until("kubectl get events", `(?i)started|scal|created`)
		s.ok("kubectl get events", `^LAST SEEN +TYPE +REASON +OBJECT +MESSAGE$`, `Normal`)
		s.ok("kubectl events", `^LAST SEEN +TYPE +REASON +OBJECT +MESSAGE$`)
		s.ok("kubectl get events --sort-by=.lastTimestamp", `REASON`)
		s.ok("kubectl get events --field-selector type=Normal", `Normal`)
		s.ok("kubectl get events --field-selector type=Warning", `!Normal`)
		s.ok("kubectl events --for ksvc/hello", `.`)
	}},
	{"api-resources, api-versions", "every kind", func(s *session) {
		s.ok("kubectl api-resources", `^services +kservice,ksvc +serving.knative.dev/v1 +true +Service$`, `^revisions +rev +serving.knative.dev/v1 +true +Revision$`,
			`^routes +rt `, `^configurations +config,cfg `, `^pods +po +v1 +true +Pod$`, `^configmaps +cm +v1 +true +ConfigMap$`, `^namespaces +ns +v1 +false +Namespace$`,
			`^podautoscalers +kpa,pa +autoscaling.internal.knative.dev/v1alpha1 `, `^deployments +deploy +apps/v1 `)
		s.ok("kubectl api-resources --api-group=serving.knative.dev -o wide", `get,list,watch,create,update,patch,delete`, `all,knative,serving`)
		s.ok("kubectl api-resources --verbs=delete -o name", `^revisions.serving.knative.dev$`, `!^routes`)
		s.ok("kubectl api-versions", `^serving.knative.dev/v1$`, `^v1$`, `^apps/v1$`)
	}},
	{"explain", "ksvc, pod, configmap", func(s *session) {
		s.ok("kubectl explain ksvc", `^GROUP: +serving.knative.dev$`, `^KIND: +Service$`, `^VERSION: +v1$`, `spec\t<`)
		s.ok("kubectl explain ksvc.spec.template.spec.containers", `^FIELD: containers`, `image\t<string>`, `env\t<\[\]`)
		s.ok("kubectl explain ksvc --recursive", `containerConcurrency\t<integer>`, `revisionName\t<string>`)
		s.ok("kubectl explain revision.spec", `timeoutSeconds\t<integer>`)
		s.ok("kubectl explain pod.spec", `containers`)
		s.ok("kubectl explain configmap.data", `<map\[string\]string>`)
		s.fails("kubectl explain ksvc.spec.none", `(?i)field "none" does not exist`)
	}},
	{"cluster-info, version, config view, get nodes, auth", "", func(s *session) {
		s.ok("kubectl cluster-info", `127\.0\.0\.1:\d+`)
		s.ok("kubectl version", `Server Version: `)
		s.ok("kubectl config view", `server: https://127\.0\.0\.1:\d+$`, `token: REDACTED`)
		s.ok("kubectl config current-context", `.`)
		s.fails("kubectl get nodes", `(?i)quickstart`)
		s.ok("kubectl get --raw /healthz", `^ok$`)
		s.ok("kubectl get --raw /openapi/v3", `apis/serving.knative.dev/v1`)
		s.fails("kubectl --token=wrong get ksvc", `(?i)logged in|Unauthorized`)
		j := s.start("kubectl auth can-i create ksvc")
		s.check(j.line, j.waits(), []string{`(?i)^yes|quickstart`})
	}},
}

// TestVerbs runs the tables of kubectl and of kn.
func TestVerbs(t *testing.T) {
	t.Parallel()
	q := newQuickstart(t, "-runtime", "process", "-scale-to-zero-grace-period", "0s")
	t.Run("rows", func(t *testing.T) {
		for i, v := range slices.Concat(verbs, eventingVerbs, knVerbs) {
			t.Run(strings.TrimSpace(v.verb+" "+v.kinds), func(t *testing.T) {
				t.Parallel()
				s := &session{terminal: newTerminal(t, q), q: q, namespace: fmt.Sprintf("row-%d", i)}
				text, err := os.ReadFile(q.kubeconfig)
				if err != nil {
					t.Fatal(err)
				}
				s.write("kubeconfig", strings.Replace(string(text), "namespace: default", "namespace: "+s.namespace, 1))
				s.env = append(s.env, "KUBECONFIG="+s.dir+"/kubeconfig")
				s.ok("kubectl create namespace "+s.namespace, `created$`)
				v.test(s)
				s.ok("kubectl delete namespace --ignore-not-found " + s.namespace)
			})
		}
	})
}
