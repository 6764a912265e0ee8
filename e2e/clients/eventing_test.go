package clients

import "strings"

const eventing = `apiVersion: eventing.knative.dev/v1
kind: Broker
metadata: {name: example-broker}
---
apiVersion: eventing.knative.dev/v1
kind: Trigger
metadata: {name: player}
spec:
  broker: example-broker
  filter: {attributes: {type: order}}
  subscriber: {ref: {apiVersion: serving.knative.dev/v1, kind: Service, name: hello}, uri: /events}
---
apiVersion: sources.knative.dev/v1
kind: PingSource
metadata: {name: ping}
spec:
  schedule: "*/1 * * * *"
  sink: {ref: {apiVersion: eventing.knative.dev/v1, kind: Broker, name: example-broker}}
---
apiVersion: sources.knative.dev/v1
kind: ContainerSource
metadata: {name: beats}
spec:
  template: {spec: {containers: [{command: [sh, -c, "while echo to $K_SINK; do sleep 1; done"]}]}}
  sink: {ref: {apiVersion: serving.knative.dev/v1, kind: Service, name: hello}}
---
apiVersion: sources.knative.dev/v1
kind: SinkBinding
metadata: {name: bind}
spec:
  subject: {apiVersion: serving.knative.dev/v1, kind: Service, name: hello}
  sink: {ref: {apiVersion: eventing.knative.dev/v1, kind: Broker, name: example-broker}}
`

const brokerURL = `http://broker-ingress\.knative-eventing\.svc\.cluster\.local/row-\d+/example-broker`

// eventingVerbs are the commands of kubectl for brokers, triggers and sources.
var eventingVerbs = []row{
	{"apply, get, delete", "broker, trigger, pingsource, containersource, sinkbinding", func(s *session) {
		s.write("eventing.yaml", eventing)
		s.ok("kubectl apply -f eventing.yaml", `^broker.eventing.knative.dev/example-broker created$`, `^trigger.eventing.knative.dev/player created$`,
			`^pingsource.sources.knative.dev/ping created$`, `^containersource.sources.knative.dev/beats created$`, `^sinkbinding.sources.knative.dev/bind created$`)
		s.ok("kubectl apply -f eventing.yaml", `^broker.eventing.knative.dev/example-broker unchanged$`, `^pingsource.sources.knative.dev/ping unchanged$`)
		s.ok("kubectl get triggers", `^NAME +BROKER +SUBSCRIBER_URI +AGE +READY +REASON$`, `^player +example-broker +\d+s +False `)
		s.revision("World")
		s.ok("kubectl get brokers", `^NAME +URL +AGE +READY +REASON$`, `^example-broker +`+brokerURL+` +\d+s +True`)
		s.ok("kubectl get brokers -o wide", `CLASS$`, `MTChannelBasedBroker$`)
		s.ok("kubectl get triggers", `^player +example-broker +http://hello\.row-\d+\.svc\.cluster\.local/events +\d+s +True`)
		s.ok("kubectl get pingsource", `^NAME +SINK +SCHEDULE +AGE +READY +REASON$`, `^ping +`+brokerURL+` +\*/1 \* \* \* \* +\d+s +True`)
		s.until("kubectl get containersource", `^beats +http://hello\.row-\d+\.svc\.cluster\.local +\d+s +True`)
		s.ok("kubectl get sinkbinding", `^bind +`+brokerURL+` +\d+s +True`)
		s.ok("kubectl get sources", `^pingsource.sources.knative.dev/ping `, `^containersource.sources.knative.dev/beats `, `^sinkbinding.sources.knative.dev/bind `)
		s.ok("kubectl get eventing", `^broker.eventing.knative.dev/example-broker `, `^trigger.eventing.knative.dev/player `)
		s.until("kubectl logs -l sources.knative.dev/containerSource=beats", `^to http://127\.0\.0\.1:\d+/hello\.row-\d+\.svc\.cluster\.local$`)
		s.ok("kubectl get revision -o yaml", `K_SINK$`, `value: `+brokerURL+`$`)
		s.ok("kubectl get trigger player -o yaml", `eventing.knative.dev/broker: example-broker$`, `type: SubscriberResolved$`, `type: DependencyReady$`, `observedGeneration: 1$`)
		s.ok("kubectl delete -f eventing.yaml", `^broker.eventing.knative.dev "example-broker" deleted`, `^sinkbinding.sources.knative.dev "bind" deleted`)
		s.until("kubectl get eventing,sources,pod -l sources.knative.dev/containerSource=beats", "No resources found")
	}},
	{"create --validate=strict, patch, edit", "broker, trigger, pingsource", func(s *session) {
		s.write("wrong.yaml", "apiVersion: eventing.knative.dev/v1\nkind: Trigger\nmetadata: {name: t}\nspec: {broker: b, filtr: {}, subscriber: {uri: /a}}\n")
		s.fails("kubectl create -f wrong.yaml", `unknown field "spec.filtr"`)
		s.fails("kubectl create --validate=ignore -f wrong.yaml", `is invalid`, `spec.subscriber.uri`)
		s.write("eventing.yaml", eventing)
		s.ok("kubectl create -f eventing.yaml", `created$`)
		s.fails(`kubectl patch trigger player --type=merge -p '{"spec":{"broker":"other"}}'`, `spec.broker.*can't be changed`)
		s.ok(`kubectl patch trigger player --type=json -p '[{"op":"replace","path":"/spec/filter/attributes/type","value":"sale"}]'`, `patched$`)
		s.ok("kubectl get trigger player -o jsonpath='{.spec.filter.attributes.type} {.metadata.generation} {.status.observedGeneration}'", `^sale 2 2$`)
		s.ok(`kubectl patch broker example-broker --type=merge -p '{"spec":{"delivery":{"retry":3}}}'`, `patched$`)
		s.fails(`kubectl patch broker example-broker --type=merge -p '{"spec":{"delivery":{"backoffDelay":"1s"}}}'`, `spec.delivery.backoffDelay.*ISO 8601`)
		s.write("editor", "#!/bin/sh\nexec sed -i 's,\\*/1 ,*/2 ,' \"$1\"\n")
		s.ok("KUBE_EDITOR=./editor kubectl edit pingsource ping", `edited$`)
		s.ok("kubectl get pingsource ping -o jsonpath={.spec.schedule}", `^\*/2 \* \* \* \*$`)
		s.ok("kubectl apply --server-side --force-conflicts -f eventing.yaml", `^trigger.eventing.knative.dev/player serverside-applied$`)
	}},
	{"apply, get, patch, delete, explain", "pingsource of v1beta2", func(s *session) {
		const old = "pingsources.v1beta2.sources.knative.dev"
		const ping = "apiVersion: sources.knative.dev/v1beta2\nkind: PingSource\nmetadata: {name: ping}\nspec: {schedule: '*/2 * * * *', data: tick, sink: {uri: 'http://127.0.0.1:9'}}\n"
		s.write("ping.yaml", ping)
		s.ok("kubectl apply -f ping.yaml", `^pingsource.sources.knative.dev/ping created$`)
		s.ok("kubectl apply -f ping.yaml", `^pingsource.sources.knative.dev/ping unchanged$`)
		s.until("kubectl get "+old, `^ping +http://127\.0\.0\.1:9 +\*/2 \* \* \* \* +\d+s +True`)
		s.ok("kubectl get "+old+" ping -o yaml", `^apiVersion: sources.knative.dev/v1beta2$`, `^  schedule: '\*/2 \* \* \* \*'$`, `^  sinkUri: http://127\.0\.0\.1:9$`)
		s.ok("kubectl get "+old+" -o yaml", `^- apiVersion: sources.knative.dev/v1beta2$`, `!^- apiVersion: sources.knative.dev/v1$`)
		s.ok("kubectl get pingsource ping -o yaml", `^apiVersion: sources.knative.dev/v1$`, `^  data: tick$`)
		s.ok("kubectl get sources", `^pingsource.sources.knative.dev/ping `, `!(?s)/ping .*/ping `)
		s.ok(`kubectl patch `+old+` ping --type=merge -p '{"spec":{"data":"tock"}}'`, `patched$`)
		s.fails("kubectl create --validate=strict --dry-run=server -f - <<E\n"+strings.NewReplacer("name: ping", "name: other", " data:", " dato:").Replace(ping)+"E", `unknown field "spec.dato"`)
		s.write("ping.yaml", strings.Replace(ping, "v1beta2", "v1", 1))
		s.ok("kubectl apply -f ping.yaml", `^pingsource.sources.knative.dev/ping configured$`)
		s.ok("kubectl get pingsource ping -o jsonpath={.spec.data}", `^tick$`)
		s.ok("kubectl explain pingsource.spec --api-version=sources.knative.dev/v1beta2", `^VERSION: +v1beta2$`, `schedule\t<string>`)
		s.ok("kubectl api-versions", `^sources.knative.dev/v1$`, `^sources.knative.dev/v1beta2$`)
		s.ok("kubectl api-resources --api-group=sources.knative.dev", `^pingsources +sources.knative.dev/v1 `, `!v1beta2`)
		s.ok("kubectl get crd pingsources.sources.knative.dev -o jsonpath='{.spec.versions[*].name}'", `^v1 v1beta2$`)
		s.ok("kubectl delete "+old+" ping", `deleted`)
		s.ok("kubectl get pingsource", "No resources found")
	}},
	{"get -w, wait, explain, api-resources", "broker, trigger", func(s *session) {
		w := s.start("kubectl get triggers -w --output-watch-events")
		s.write("eventing.yaml", eventing)
		s.ok("kubectl apply -f eventing.yaml")
		w.until(`^(ADDED|MODIFIED) +player +example-broker +\d+s +False `)
		s.ok("kubectl apply -f hello.yaml")
		w.until(`^MODIFIED +player +example-broker +http://hello\.\S+ +\d+s +True`)
		s.ok("kubectl wait broker/example-broker trigger/player --for=condition=Ready --timeout=30s", "condition met")
		s.ok("kubectl wait pingsource ping --for=condition=Ready --timeout=30s", "condition met")
		s.ok("kubectl explain trigger.spec", `^KIND: +Trigger$`, `broker\t<string>`, `filters\t<\[\]Object>`)
		s.ok("kubectl explain broker.spec.delivery", `backoffPolicy\t<string>`)
		s.ok("kubectl explain containersource.spec.template.spec.containers", `image\t<string>`)
		s.ok("kubectl api-resources --api-group=eventing.knative.dev -o wide", `^brokers +eventing.knative.dev/v1 +true +Broker +create,|^brokers .* Broker `, `all,knative,eventing`)
		s.ok("kubectl api-resources --api-group=sources.knative.dev", `^pingsources `, `^containersources `, `^sinkbindings `)
	}},
}
