package clients

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
)

const (
	playerImage   = "ruromero/cloudevents-player:latest"
	exampleBroker = `http://broker-ingress\.knative-eventing\.svc\.cluster\.local/default/example-broker`
)

// events is the second part of the walk: Knative's tutorial about events, with the manifests of examples/events.
func (w *walk) events() {
	examples, err := filepath.Abs("../../examples")
	if err == nil {
		err = os.Symlink(examples, filepath.Join(w.k.dir, "examples"))
	}
	if err != nil {
		w.t.Fatal(err)
	}
	w.say(`
# Events

The second part of the tutorial: a source sends events to a broker, and a trigger brings them to a Service. The manifests are those of
[examples/events](../examples/events/broker.yaml), here without their comments.`)
	w.eventsWithKubectl()
	w.eventsByKey()
	w.eventsWithKn()
}

func (w *walk) eventsWithKubectl() {
	w.say("## A broker\n\nA delivery that fails is tried ten more times, after 0.2 s, 0.4 s, 0.8 s and so on.")
	w.run("grep -v '^#' examples/events/broker.yaml", `^ +backoffPolicy: exponential$`)
	w.run("kubectl apply -f examples/events/broker.yaml", `^broker.eventing.knative.dev/example-broker created$`)
	w.run("kubectl get brokers", `^NAME +URL +AGE +READY +REASON$`, `^example-broker +`+exampleBroker+` +\d+s +True`)

	w.say(`
## A sink, and a trigger

The sink is a page that sends events to the broker and shows those that it gets. The image is built into the quickstart. The trigger has no filter: the
page gets all events of the broker.`)
	w.run("grep -v '^#' examples/events/player.yaml", `^  name: cloudevents-trigger$`)
	w.run("kubectl apply -f examples/events/player.yaml", `^service.serving.knative.dev/cloudevents-player created$`, `^trigger.eventing.knative.dev/cloudevents-trigger created$`)
	w.run("kubectl wait ksvc/cloudevents-player trigger/cloudevents-trigger --for=condition=Ready", `^trigger.eventing.knative.dev/cloudevents-trigger condition met$`)
	w.run("kubectl get triggers", `^NAME +BROKER +SUBSCRIBER_URI +AGE +READY +REASON$`,
		`^cloudevents-trigger +example-broker +http://cloudevents-player\.default\.svc\.cluster\.local +\d+s +True`)

	w.say(`
## An event

A program on this machine sends to the quickstart's port, with the broker's path. The response 202 says that the event is on the disk.`)
	w.run("curl -si "+w.broker()+` -H 'Content-Type: application/json' \
    -H 'Ce-Specversion: 1.0' -H 'Ce-Id: 1' -H 'Ce-Type: greeting' -H 'Ce-Source: /curl' -d '{"message": "hello"}'`, `^HTTP/1.1 202 Accepted`)
	w.say("The page is at http://cloudevents-player.default.localhost:8080; programs read what it shows at `/messages`.")
	messages := "curl -s " + w.player()
	w.until(messages, `"id":"1","type":"RECEIVED".*"eventType":"greeting".*"data":\{"message":"hello"\}`)
	w.say("In the other direction the page sends what it is given to the broker, whence the event comes back.")
	w.run("curl -s -w '%{http_code}\\n' "+w.player()+` -H 'Content-Type: application/json' \
    -H 'Ce-Specversion: 1.0' -H 'Ce-Id: 2' -H 'Ce-Type: greeting' -H 'Ce-Source: /page' -d '{"message": "hello again"}'`, `^202$`)
	w.until(messages+" | grep -o '\"id\":\"2\",\"type\":\"[A-Z]*\"' | sort", `RECEIVED"\n.*SENT"`)
}

func (w *walk) eventsByKey() {
	w.say(`
## The same key, the same instance

A Service has two instances, and its trigger the annotation ` + "`sluice.dev/key`" + `: events with the same subject go to the same instance, in order, one at a
time. Each instance answers an event with another one, which says who has got it.`)
	w.run("grep -v '^#' examples/events/keyed.yaml", `^    sluice.dev/key: subject`)
	w.run("kubectl apply -f examples/events/keyed.yaml", `^trigger.eventing.knative.dev/orders created$`)
	w.run("kubectl wait ksvc/orders trigger/orders --for=condition=Ready", `^trigger.eventing.knative.dev/orders condition met$`)
	w.k.until("kubectl get revision orders-00001", ` 2 +2$`)
	w.run("kubectl get pods -l serving.knative.dev/service=orders", `^orders-00001-1-\S+ +2/2 +Running`, `^orders-00001-2-\S+ +2/2 +Running`)
	w.run(`for i in 1 2 3 4 5; do for s in apples figs pears plums; do
    curl -s -w '%{http_code}\n' -X POST `+w.broker()+` \
        -H 'Ce-Specversion: 1.0' -H "Ce-Id: $s-$i" -H 'Ce-Type: order' -H 'Ce-Source: /shop' -H "Ce-Subject: $s"
done; done | uniq -c`, `^ +20 202$`)
	w.say("Five events of each subject, by instance:")
	line := func(subject string) string {
		return `^ +5 "subject":"` + subject + `","extensions":\{"instance":"orders-00001-[12]-[0-9a-f]{4}(\n|\z)`
	}
	w.until(`curl -s '`+w.player()+`?size=100' | grep -o '"subject":"[a-z]*","extensions":{"instance":"orders[0-9a-f-]*' | sort | uniq -c`,
		line("apples")+line("figs")+line("pears")+line("plums"))
	w.run("kubectl delete -f examples/events", `^broker.eventing.knative.dev "example-broker" deleted`, `^trigger.eventing.knative.dev "orders" deleted`)
	w.k.until("kubectl get pod", "No resources found")
}

func (w *walk) eventsWithKn() {
	w.say("## Events with kn")
	w.run("kn broker create example-broker --retry 10 --backoff-policy exponential --backoff-delay PT0.2S", `^Broker 'example-broker' successfully created`)
	w.run("kn broker list", `^example-broker +`+exampleBroker+` +\d+s +7 OK / 7 +True`)
	w.run("kn broker describe example-broker", `^  URL: +`+exampleBroker+`$`, `^  \+\+ Ready `)
	w.run("kn service create cloudevents-player --image "+playerImage+" --scale 1 --env PLAYER_BROKER=example-broker", `Ready to serve`)
	w.run("kn trigger create cloudevents-trigger --broker example-broker --sink cloudevents-player", `^Trigger 'cloudevents-trigger' successfully created`)
	w.run("kn trigger list", `^cloudevents-trigger +example-broker +ksvc:cloudevents-player +\d+s +7 OK / 7 +True`)
	w.run("kn trigger describe cloudevents-trigger", `^Broker: +example-broker$`, `^  Name: +cloudevents-player$`, `^  \+\+ SubscriberResolved `)

	w.say("A sink that isn't there gets its events when it is: until then each is tried again.")
	w.run("kn trigger create late --broker example-broker --filter type=late --sink http://late.default.svc.cluster.local", `^Trigger 'late' successfully created`)
	w.run("curl -s -w '%{http_code}\\n' -X POST "+w.broker()+" -H 'Ce-Specversion: 1.0' -H 'Ce-Id: 1' -H 'Ce-Type: late' -H 'Ce-Source: /curl'", `^202$`)
	w.run("kn service create late --image "+playerImage+" --scale 1", `Ready to serve`)
	w.until(fmt.Sprintf("curl -s http://late.default.localhost:%d/messages", w.q.port), `"id":"1","type":"RECEIVED"`)

	w.say("A source sends events by itself, this one each second: a sixth field of the schedule, in front, is that of seconds.")
	w.run(`kn source ping create ping --schedule '* * * * * *' --data '{"message": "tick"}' --sink broker:example-broker`, `^Ping source 'ping' created`)
	w.run("kn source list", `^ping +PingSource +pingsources\.sources\.knative\.dev +broker:example-broker +True$`)
	w.run("kubectl get pingsources", `^ping +`+exampleBroker+` +\* \* \* \* \* \* +\d+s +True`)
	w.run("kn source ping describe ping", `^Schedule: +\* \* \* \* \* \*$`, `^Data: +\{"message": "tick"\}$`)
	w.until("curl -s '"+w.player()+"?size=1'", `"eventType":"dev.knative.sources.ping".*"data":\{"message":"tick"\}`)

	w.say("What has been made goes one by one.")
	w.run("kn source ping delete ping", `deleted`)
	w.run("kn trigger delete late", `deleted`)
	w.run("kn trigger delete cloudevents-trigger", `deleted`)
	w.run("kn broker delete example-broker", `successfully deleted`)
	w.run("kn service delete --all", `deleted`)
	w.run("kubectl get eventing,sources", `No resources found`)
}

// until adds a command whose output has to match sooner or later.
func (w *walk) until(line, want string) {
	w.t.Helper()
	w.show(line, w.k.until(line, want))
}

// broker is the URL of example-broker on this machine.
func (w *walk) broker() string {
	return fmt.Sprintf("http://localhost:%d/default/example-broker", w.q.port)
}

// player is the URL of what the player shows.
func (w *walk) player() string {
	return strings.TrimSuffix(w.q.url("default", "cloudevents-player"), "/") + "/messages"
}
