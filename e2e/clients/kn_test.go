package clients

const (
	image    = "ghcr.io/knative/helloworld-go:latest"
	knCreate = "kn service create hello --image " + image + " --port 8080 --env TARGET=World"
)

// knVerbs are the commands of kn that are about Knative Serving, each with the options that its row uses.
var knVerbs = []row{
	{"kn service create", "--image, --port, --env, --no-wait", func(s *session) {
		s.ok(knCreate, `^Creating service 'hello' in namespace 'row-\d+':$`, `^ +\S+s Ready to serve\.$`,
			`^Service 'hello' created to latest revision 'hello-00001' is available at URL:$`, `^http://hello\.row-\d+\.localhost:\d+$`)
		s.asks("Hello World!")
		s.fails(knCreate, `^Error: cannot create service 'hello' .* already exists`)
		s.ok("kn service create waits --no-wait --image "+image, `^Service 'waits' created in namespace`, `!Ready`)
		s.ok("kn service wait waits", `Ready to serve`, `^Service 'waits' in namespace 'row-\d+' is ready\.$`)
		s.fails("kn service wait nothing --wait-timeout 1", `^Error: timeout: service 'nothing' not ready`)
	}},
	{"kn service create, with an error", "--image, --namespace, --revision-name", func(s *session) {
		s.fails("kn service create bad --image example.com/none", `^Error: .*spec\.template\.spec\.containers\[0\]\.image: .*example\.com/none`)
		s.fails("kn service create No_Name --image "+image, `^Error: .*metadata\.name: Invalid value: "No_Name"`)
		s.fails("kn service create bad -n elsewhere --image "+image, `^Error: namespaces "elsewhere" not found$`)
		s.fails("kn service create bad --revision-name=No --image "+image, `^Error: .*spec\.template\.metadata\.name`)
		s.ok("kn service list", `^No services found\.$`)
	}},
	{"kn service create", "-f, --force", func(s *session) {
		s.ok("kn service create -f hello.yaml", `created to latest revision 'hello-00001'`)
		s.asks("Hello World!")
		s.ok("kn service create hello --force --env TARGET=force --image "+image, `^Service 'hello' replaced to latest revision 'hello-00002'`)
		s.asks("Hello force!")
	}},
	{"kn service create", "--scale, --limit, --env-from, --mount, --probe-readiness, …", func(s *session) {
		s.ok("kubectl create configmap settings --from-literal=TARGET=settings && kubectl create secret generic key --from-literal=key=s3cret")
		s.ok("kn service create hello --image "+image+` --scale 1..3 --scale-window 10s --scale-target 7 --concurrency-limit 9 --timeout 20 \
			--request cpu=100m --limit memory=1Gi --label team=web --annotation note=x --env-from cm:settings --env-value-from KEY=secret:key:key \
			--mount /etc/settings=cm:settings --mount /tmp/scratch=ed:scratch --probe-liveness http::8080:/ --probe-readiness http::8080:/`,
			`^Warning: \S+/hello: ignored here: `, `Ready to serve`)
		s.asks("Hello settings!")
		s.ok("kn service describe hello -v", `^Labels: +team=web$`, `^Annotations: +note=x$`, `^ +Env: +KEY=\[ref\]$`, `^ +EnvFrom: +cm:settings$`,
			`^ +Scale: +1 \.\.\. 3$`, `^ +Limit: +9$`, `^ +Target: +7$`, `^ +Memory: +1Gi$`)
		s.ok("kn service update hello --scale 0..1 --label team- --mount /tmp/scratch-", `updated to latest revision 'hello-00002'`)
		s.ok("kn service describe hello -v", `!team=web`, `^ +Scale: +0 \.\.\. 1$`)
	}},
	{"kn service update", "--env, --label, --revision-name", func(s *session) {
		s.ok(knCreate)
		// If one of them gets a conflict, it tries again.
		s.ok("kn service update hello --label a=1 & kn service update hello --label b=2 ; wait")
		s.ok("kn service describe hello -o jsonpath={.metadata.labels}", `^\{"a":"1","b":"2"\}$`)
		s.ok("kn service update hello --env TARGET=Knative --revision-name=knative", `^Service 'hello' updated to latest revision 'hello-knative' is available`)
		s.asks("Hello Knative!")
		s.fails("kn service update nothing --env A=b", `^Error: services\.serving\.knative\.dev "nothing" not found$`)
		s.fails("kn service update hello --env TARGET=other --revision-name=knative", `^Error: .*revision hello-knative exists with a different spec`)
	}},
	{"kn service update", "--traffic, --tag, --untag", func(s *session) {
		s.ok(knCreate + " --revision-name=world")
		s.ok("kn service update hello --env TARGET=Knative --revision-name=knative --traffic hello-world=100 --tag @latest=candidate")
		s.asks("Hello World!")
		s.until("curl -sS "+s.q.url(s.namespace, "candidate-hello"), "^Hello Knative!$")
		s.ok("kn service update hello --traffic hello-world=30,@latest=70", `latest revision 'hello-knative' \(unchanged\)`)
		s.ok("kn service describe hello", `^ +30% +hello-world \[1\]`, `^ +70% +@latest \(hello-knative\) #candidate \[2\]`)
		s.ok("kn revision list", `^hello-knative +hello +70% +candidate +2 `, `^hello-world +hello +30% +1 `)
		s.ok("kn service update hello --untag candidate --tag hello-world=old --traffic @latest=100")
		s.ok("kn route describe hello", `^ +100% +@latest \(hello-knative\)$`, `^ +0% +hello-world #old\n +URL: +http://old-hello\.`)
		s.fails("kn service update hello --traffic hello-world=50,@latest=60", `^Error: given traffic percents sum to 110`)
		s.fails("kn service update hello --traffic nothing=100", `^Error: .*nothing`)
	}},
	{"kn service apply", "--image, --env, --label, -f", func(s *session) {
		apply := "kn service apply hello --image " + image
		s.ok(apply+" --env TARGET=World", `^Creating service 'hello'`, `^Service 'hello' created to latest revision 'hello-00001'`)
		s.ok(apply+" --env TARGET=World", `^No changes to apply to service 'hello'\.$`, `latest revision 'hello-00001' \(unchanged\)`)
		s.ok(apply+" --env TARGET=World --label a=b", `^Applying service 'hello'`)
		s.ok(apply+" --env TARGET=Apply", `^Service 'hello' applied to latest revision 'hello-0000\d'`)
		s.asks("Hello Apply!")
		s.ok("kn service describe hello", `!a=b`)
		s.ok("kn service apply -f hello.yaml", `^Service 'hello' applied`)
		s.asks("Hello World!")
	}},
	{"kn service describe", "-v, -o yaml, json, jsonpath, name, url", func(s *session) {
		s.ok(knCreate)
		s.ok("kn service describe hello", `^Name: +hello$`, `^URL: +http://hello\.`, `^ +100% +@latest \(hello-00001\) \[1\] \(\d+s\)$`,
			`^ +Image: +`+image+`$`, `^ +Replicas: +\d/\d$`, `^ +\+\+ Ready +\d+s *$`, `^ +\+\+ ConfigurationsReady `, `^ +\+\+ RoutesReady `)
		s.ok("kn service describe hello -v", `^Cluster: +http://hello\.row-\d+\.svc\.cluster\.local$`, `^ +Port: +8080$`, `^ +Env: +TARGET=World$`)
		s.ok("kn service describe hello -o yaml", `^kind: Service$`, `^  latestReadyRevisionName: hello-00001$`, `^  observedGeneration: 1$`)
		s.ok("kn service describe hello -o json", `^    "kind": "Service",$`, `"latestReadyRevisionName": "hello-00001"`)
		s.ok("kn service describe hello -o jsonpath={.status.latestReadyRevisionName}", `^hello-00001$`)
		s.ok("kn service describe hello -o name", `^service\.serving\.knative\.dev/hello$`)
		s.until("curl -sS $(kn service describe hello -o url)", `^Hello World!$`)
		s.fails("kn service describe nothing", `^Error: services\.serving\.knative\.dev "nothing" not found$`)
	}},
	{"kn service list", "-A, -o yaml, json, jsonpath, name", func(s *session) {
		s.ok("kn service list", `^No services found\.$`)
		s.ok("kn service create b --image " + image + " && kn service create a --image " + image)
		s.ok("kn service list", `^NAME +URL +LATEST +AGE +CONDITIONS +READY +REASON`, `^a +http://a\.\S+ +a-00001 +\d+s +3 OK / 3 +True *\nb .* 3 OK / 3 +True`)
		s.ok("kn service list b", `!^a `, `^b `)
		s.ok("kn service list -A", `^row-\d+ +a +http://a\.`)
		s.ok("kn service list -o name", `^service\.serving\.knative\.dev/a\nservice\.serving\.knative\.dev/b$`)
		s.ok("kn service list -o json", `^    "kind": "ServiceList"`)
		s.ok("kn service list -o yaml", `^kind: ServiceList$`)
		s.ok("kn service list -o jsonpath='{.items[*].metadata.name}'", `^a b$`)
	}},
	{"kn service delete", "--wait, --all", func(s *session) {
		s.ok(knCreate + " && kn service create a --image " + image + " && kn service create b --image " + image)
		s.ok("kn service delete hello --wait", `^Service 'hello' successfully deleted in namespace`)
		s.fails("kn service delete hello", `^Error: services\.serving\.knative\.dev "hello" not found$`)
		s.ok("kn service delete --all --wait", `^Service 'a' successfully deleted`, `^Service 'b' successfully deleted`)
		s.ok("kn route list && kn revision list", `^No routes found\.$`, `^No revisions found\.$`)
	}},
	{"kn service export", "--mode, --with-revisions", func(s *session) {
		s.ok(knCreate + " && kn service update hello --env TARGET=Knative && kn service update hello --traffic hello-00001=50,@latest=50")
		s.ok("kn service export hello --with-revisions --mode=replay -o yaml >replay.yaml && kn service delete hello --wait")
		s.ok("cat replay.yaml", `^kind: List$`, `name: hello-00001$`)
		s.ok("kn service create -f hello.yaml && kn service export hello --mode=replay -o yaml >one.yaml && kn service delete hello --wait")
		s.ok("kubectl apply -f one.yaml", `created$`)
		s.asks("Hello World!")
	}},
	{"kn revision list, describe", "-s, -v, -o yaml, json, name", func(s *session) {
		s.ok(knCreate + " --scale-window 6s && kn service create other --image " + image)
		s.ok("kn service update hello --env TARGET=Knative")
		s.ok("kn revision list", `^NAME +SERVICE +TRAFFIC +TAGS +GENERATION +AGE +CONDITIONS +READY +REASON`, `^hello-00001 `, `^hello-00002 +hello +100% +2 `, `^other-00001 `)
		s.ok("kn revision list -s hello -o name", `^revision\.serving\.knative\.dev/hello-00002\nrevision\.serving\.knative\.dev/hello-00001$`)
		s.ok("kn revision list -o json", `^    "kind": "RevisionList"`)
		s.asks("Hello Knative!")
		s.until("kn revision list", `^hello-00002 .* 4 OK / 4 +True`)
		s.until("kn revision list", `^hello-00002 .* 3 OK / 4 +True`) // Active is not true without replicas
		s.ok("kn revision describe hello-00002", `^Image: +`+image+`$`, `^Replicas: +0/0$`, `^Env: +TARGET=Knative$`, `^Service: +hello$`,
			`^ +\+\+ Ready `, `^ +\+\+ ContainerHealthy `, `^ +\+\+ ResourcesAvailable `, `^ +I Active .*NoTraffic`)
		s.ok("kn revision describe hello-00002 -v", `^ +Configuration Generation: +2$`, `^ +Latest Ready: +true$`, `^ +Traffic: +100%$`)
		s.ok("kn revision describe hello-00002 -o yaml", `^kind: Revision$`)
		s.fails("kn revision describe nothing", `^Error: revisions\.serving\.knative\.dev "nothing" not found$`)
	}},
	{"kn revision delete", "--wait, --prune", func(s *session) {
		s.ok(knCreate + " && kn service update hello --env TARGET=2 && kn service update hello --env TARGET=3")
		s.ok("kn revision delete hello-00001 --wait", `^Revision 'hello-00001' deleted in namespace`)
		s.fails("kn revision delete hello-00001", `^Error: revisions\.serving\.knative\.dev "hello-00001" not found$`)
		s.fails("kn revision delete hello-00003", `^Error: revisions\.serving\.knative\.dev "hello-00003" is forbidden: `)
		s.ok("kn revision delete --prune hello", `^Revision 'hello-00002' deleted`)
		s.ok("kn revision list", `^hello-00003 `, `!^hello-0000[12] `)
	}},
	{"kn route list, describe", "-o yaml, json, name", func(s *session) {
		s.ok(knCreate)
		s.ok("kn route list", `^NAME +URL +READY`, `^hello +http://hello\.\S+ +True`)
		s.ok("kn route list -o name", `^route\.serving\.knative\.dev/hello$`)
		s.ok("kn route describe hello", `^Service: +hello$`, `^ +100% +@latest \(hello-00001\)$`, `^ +\+\+ AllTrafficAssigned `, `^ +\+\+ IngressReady `)
		s.ok("kn route describe hello -o yaml", `^kind: Route$`)
		s.fails("kn route describe nothing", `^Error: routes\.serving\.knative\.dev "nothing" not found$`)
	}},
	{"kn broker, trigger, source", "create, list, describe, update, delete", func(s *session) {
		s.ok("kn broker create example-broker", `^Broker 'example-broker' successfully created in namespace 'row-\d+'\.$`)
		s.ok("kn broker list", `^NAME +URL +AGE +CONDITIONS +READY +REASON$`, `^example-broker +`+brokerURL+` +\d+s +7 OK / 7 +True`)
		s.ok("kn broker describe example-broker", `^Name: +example-broker$`, `^ +URL: +`+brokerURL+`$`, `^ +\+\+ IngressReady`)
		s.ok("kn broker update example-broker --retry 3 --backoff-policy linear --backoff-delay PT1S", `^Broker 'example-broker' updated in namespace`)
		s.ok(knCreate)
		s.ok("kn trigger create player --broker example-broker --filter type=order --sink ksvc:hello", `^Trigger 'player' successfully created in namespace`)
		s.ok("kn trigger list", `^player +example-broker +ksvc:hello +\d+s +\d OK / \d +True`)
		s.ok("kn trigger describe player", `^Broker: +example-broker$`, `^Filter:`, `^ +type: +order$`, `^ +Resource: +Service \(serving\.knative\.dev/v1\)$`)
		s.ok("kn trigger update player --filter type=sale", `updated in namespace`)
		s.ok("kn source ping create ping --schedule '*/2 * * * *' --data tick --sink broker:example-broker", `^Ping source 'ping' created in namespace`)
		s.ok("kn source ping list", `^ping +\*/2 \* \* \* \* +Broker:example-broker +\d+s +4 OK / 4 +True`)
		s.ok("kn source ping describe ping", `^Schedule: +\*/2 \* \* \* \*$`, `^ +\+\+ SinkProvided`)
		s.ok("kn source binding create bind --subject Service:serving.knative.dev/v1:hello --sink broker:example-broker", `^Sink binding 'bind' created in namespace`)
		s.ok("kn source binding list", `^bind +Service:serving\.knative\.dev/v1:hello +broker:example-broker `)
		s.ok("kn source container create beats --image "+image+" --sink broker:example-broker", `^ContainerSource 'beats' created in namespace`)
		s.ok("kn source container list", `^beats +`+image+` +broker:example-broker `)
		s.ok("kn source container delete beats && kn source binding delete bind && kn source ping delete ping && kn trigger delete player && kn broker delete example-broker",
			`'beats' deleted in namespace`, `^Broker 'example-broker' successfully deleted`)
	}},
	{"kn broker create, update, describe, list", "--class, --broker-config, --dl-sink, --retry, --timeout, …, -o url, yaml, name", func(s *session) {
		s.ok("kubectl create configmap settings --from-literal=a=b")
		s.ok(knCreate)
		s.ok("kn broker create b --class MTChannelBasedBroker --broker-config cm:settings --dl-sink ksvc:hello --retry 2 --timeout PT5S --retry-after-max PT10S "+
			"--backoff-policy linear --backoff-delay PT1S", `^Warning: Broker row-\d+/b: ignored here: config$`, `^Broker 'b' successfully created`)
		s.ok("kn broker describe b", `^Annotations: +eventing\.knative\.dev/broker\.class=MTChannelBasedBroker$`, `^ +\+\+ DeadLetterSinkResolved `)
		s.ok("kn broker describe b -o url", `^http://broker-ingress\.knative-eventing\.svc\.cluster\.local/row-\d+/b$`)
		s.ok("kn broker describe b -o yaml", `^    retry: 2$`, `^    timeout: PT5S$`, `^    retryAfterMax: PT10S$`, `^    backoffPolicy: linear$`, `^  deadLetterSinkUri: http://hello\.row-\d+\.svc\.cluster\.local$`)
		s.ok("kn broker update b --dl-sink http://example.com/x --retry 5 --backoff-policy exponential", `^Broker 'b' updated`)
		s.ok("kn broker describe b -o yaml", `^    retry: 5$`, `^    backoffPolicy: exponential$`, `^  deadLetterSinkUri: http://example\.com/x$`)
		s.ok("kn broker create other --class Kafka", `successfully created`) // each Broker is this one
		s.ok("kn broker list -o name", `^broker\.eventing\.knative\.dev/b\nbroker\.eventing\.knative\.dev/other$`)
		s.fails("kn broker describe nothing", `^Error: brokers\.eventing\.knative\.dev "nothing" not found$`)
		s.fails("kn broker update b --backoff-delay 1s", `^Error: .*spec\.delivery\.backoffDelay`)
	}},
	{"kn trigger create, update, describe, list, delete", "--broker, --filter, --sink, -A, -v, -o yaml, name", func(s *session) {
		s.ok("kn broker create b && kn broker create other && " + knCreate)
		s.ok("kn trigger create t --broker b --filter type=order --filter source=me --sink ksvc:hello", `^Trigger 't' successfully created`)
		s.ok("kn trigger create u --broker b --sink http://example.com/x && kn trigger create w --broker none --sink broker:other")
		s.ok("kn trigger describe t", `^Labels: +eventing\.knative\.dev/broker=b$`, `^ +source: +me\n +type: +order$`, `^ +\+\+ SubscriberResolved `)
		s.ok("kn trigger describe u -v", `^ +URI: +http://example\.com/x$`, `!Filter`)
		s.ok("kn trigger describe w -v", `^ +Resource: +Broker \(eventing\.knative\.dev/v1\)$`, `^ +!! BrokerReady +\d+s BrokerDoesNotExist \(Broker "none" does not exist\)$`)
		s.ok("kn trigger describe t -o yaml", `^  subscriberUri: http://hello\.row-\d+\.svc\.cluster\.local$`)
		s.ok("kn trigger update t --filter type- --filter source=you --sink broker:other", `^Trigger 't' updated`)
		s.ok("kn trigger describe t", `^ +source: +you$`, `!order`, `^ +Name: +other$`)
		s.ok("kn trigger list", `^t +b +broker:other .* 7 OK / 7 +True`, `^u +b +http://example\.com/x .* True`, `^w +none +broker:other .* False +BrokerDoesNotExist`)
		s.ok("kn trigger list -A", `^row-\d+ +u +b +http://example\.com/x `)
		s.ok("kn trigger list -o name", `^trigger\.eventing\.knative\.dev/t\ntrigger\.`)
		s.fails("kn trigger create x --broker b --sink ksvc:nothing", `^Error: .*: services\.serving\.knative\.dev "nothing" not found$`)
		s.ok("kn trigger delete w", `^Trigger 'w' deleted`)
		s.fails("kn trigger describe w", `^Error: triggers\.eventing\.knative\.dev "w" not found$`)
	}},
	{"kn source ping create, update, describe, list, delete", "--schedule, --data, --encoding, --ce-override, --sink, -v, -o yaml, name", func(s *session) {
		s.ok("kn broker create b && " + knCreate)
		s.ok(`kn source ping create p --schedule '*/2 * * * *' --data '{"a":"b"}' --ce-override x=y --ce-override z=1 --sink ksvc:hello`, `^Ping source 'p' created`)
		s.ok("kn source ping create q --data dGljaw== --encoding base64 --sink http://example.com/x")
		s.ok("kn source ping describe p", `^Schedule: +\*/2 \* \* \* \*$`, `^Data: +\{"a":"b"\}$`, `^ +Resource: +Service \(serving\.knative\.dev/v1\)$`, `^ +x: +y\n +z: +1$`, `^ +\+\+ Deployed `)
		s.ok("kn source ping describe q -v", `^Schedule: +\* \* \* \* \*$`, `^DataBase64: +dGljaw==$`, `^ +URI: +http://example\.com/x$`)
		s.ok("kn source ping describe p -o yaml", `^  - source: /apis/v1/namespaces/row-\d+/pingsources/p$`, `^  sinkUri: http://hello\.`)
		s.ok("kn source ping update p --schedule '*/5 * * * *' --ce-override x- --data tick --encoding text --sink broker:b", `^Ping source 'p' updated`)
		s.ok("kn source ping describe p", `^Schedule: +\*/5 `, `^Data: +tick$`, `^ +Resource: +Broker `, `!^ +x: +y`, `^ +z: +1$`)
		s.ok("kn source ping list", `^p +\*/5 \* \* \* \* +Broker:b .* 4 OK / 4 +True`, `^q `)
		s.ok("kn source ping list -o name", `^pingsource\.sources\.knative\.dev/p\npingsource\.`)
		s.fails("kn source ping create bad --schedule often --sink broker:b", `^Error: .*spec\.schedule: Invalid value: .*such as`)
		s.ok("kn source ping delete p", `^Ping source 'p' deleted`)
		s.fails("kn source ping delete p", `^Error: pingsources\.sources\.knative\.dev "p" not found$`)
	}},
	{"kn source container create, update, describe, list", "--image, --arg, --env, --env-from, --env-value-from, --mount, --sink, -v", func(s *session) {
		s.ok("kubectl create configmap settings --from-literal=TARGET=x && kubectl create secret generic key --from-literal=key=s3cret")
		s.ok("kn broker create b && " + knCreate)
		s.ok("kn source container create beats --image "+image+" --env A=b --env-from cm:settings --env-value-from KEY=secret:key:key --arg x "+
			"--mount /etc/settings=cm:settings --mount /tmp/scratch=ed:scratch --sink ksvc:hello", `^ContainerSource 'beats' created`)
		s.ok("kn source container describe beats -v", `^ +Image: +`+image+`$`, `^ +A: +b$`, `^ +KEY: +\[ref\]$`, `^ +x: *$`, `^ +Name: +hello$`)
		s.until("kn source container describe beats", `^ +\+\+ Ready `)
		s.ok("kn source container update beats --env A=c --arg y --sink broker:b", `^Container source 'beats' updated`)
		s.ok("kn source container describe beats", `^ +A: +c$`, `^ +y: *$`, `^ +Resource: +Broker `)
		s.until("kn source container list", `^beats +`+image+` +broker:b .* 3 OK / 3 +True`)
		s.fails("kn source container describe nothing", `^Error: containersources\.sources\.knative\.dev "nothing" not found$`)
		s.ok("kn source container delete beats", `^ContainerSourc\w 'beats' deleted`) // kn has a typing error here
	}},
	{"kn source binding create, update, describe, list", "--subject, --sink, --ce-override, -v, -o yaml", func(s *session) {
		s.ok("kn broker create b && " + knCreate)
		s.ok("kn source binding create named --subject Service:serving.knative.dev/v1:hello --sink broker:b --ce-override by=me", `^Sink binding 'named' created`)
		s.ok("kn source binding create selected --subject Service:serving.knative.dev/v1:app=hello,team=web --sink broker:b")
		s.ok("kn source binding create other --subject Deployment:apps/v1:hello --sink broker:b")
		s.ok("kn source binding describe named", `^ +Name: +hello\n +Resource: +Service \(serving\.knative\.dev/v1\)$`, `^ +by: +me$`, `^ +\+\+ SinkBindingAvailable `)
		s.ok("kn source binding describe selected", `^ +Selector: *\n +app: +hello\n +team: +web$`, `^ +\+\+ Ready `)
		s.ok("kn source binding describe other -v", `^ +!! Ready +\d+s SubjectMissing \(Deployment of apps/v1 is not served by the quickstart: `)
		s.ok("kn source binding describe named -o yaml", `^  sinkUri: http://broker-ingress\.`)
		s.ok("kn source binding update named --sink http://example.com/x --ce-override by-", `^Sink binding 'named' updated`)
		s.ok("kn source binding update selected --subject Service:serving.knative.dev/v1:nothing")
		s.ok("kn source binding list", `^named +Service:serving\.knative\.dev/v1:hello +http://example\.com/x .* 6 OK / 6 +True`,
			`^selected +Service:serving\.knative\.dev/v1:nothing .* 4 OK / 6 +False +SubjectMissing`)
		s.ok("kn source binding delete other", `^Sink binding 'other' deleted`)
	}},
	{"kn source list, list-types", "--type, -A, -o name, json, yaml", func(s *session) {
		s.ok("kn source list", `^No sources found\.$`)
		s.ok("kn source ping create ping --data tick --sink https://example.com && kn source container create beats --image " + image + " --sink https://example.com")
		s.ok("kn source list", `^NAME +TYPE +RESOURCE +SINK +READY`, `^beats +ContainerSource +containersources\.sources\.knative\.dev +https://example\.com `,
			`^ping +PingSource +pingsources\.sources\.knative\.dev +https://example\.com +True`)
		s.ok("kn source list --type=PingSource", `^ping `, `!^beats `)
		s.ok("kn source list -A", `^row-\d+ +ping +PingSource `)
		s.ok("kn source list-types", `^TYPE +S +NAME +DESCRIPTION$`, `^PingSource +X +pingsources\.`, `^ContainerSource +X +containersources\.`, `^SinkBinding +X +sinkbindings\.`, `!Broker`, `!(?s)PingSource .*PingSource `)
		s.ok("kn source list-types --no-headers", `!^TYPE`)
		s.ok("kn source list-types -o json", `^    "kind": "CustomResourceDefinitionList",$`, `"name": "pingsources\.sources\.knative\.dev"`)
		s.ok("kn source list-types -o yaml", `^    name: containersources\.sources\.knative\.dev$`)
		s.ok("kn source list-types -o name", `^customresourcedefinition\.apiextensions\.k8s\.io/pingsources\.sources\.knative\.dev$`)
	}},
	{"kn domain, channel, subscription, eventtype, source apiserver: what isn't served", "", func(s *session) {
		s.fails("kn domain list", `^Error: resource domainmappings of serving\.knative\.dev/v1beta1 is not served by the quickstart$`)
		s.fails("kn source apiserver list", `^Error: resource apiserversources of sources\.knative\.dev/v1 is not served by the quickstart$`)
		s.fails("kn eventtype list", `^Error: resource eventtypes of eventing\.knative\.dev/v1beta2 is not served by the quickstart$`)
		s.fails("kn subscription list", `^Error: resource subscriptions of messaging\.knative\.dev/v1 is not served by the quickstart$`)
		s.fails("kn channel list", `^Error: resource channels of messaging\.knative\.dev/v1 is not served by the quickstart$`)
	}},
}
