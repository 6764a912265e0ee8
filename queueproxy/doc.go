// Package queueproxy is the sidecar that guards one pod of a revision: it lets the app have as many requests at once as
// the revision allows, queues the rest in order of arrival, tells whether the app is ready, and tells the autoscaler
// how busy the pod is.
//
//	activator, ingress ──► :8012 policy ──► breaker ──► app on 127.0.0.1
//	kubelet, activator ──► :8012 probe  ──► readiness ──► app
//	kubelet (preStop)  ──► :8022 drain
//	autoscaler ──────────► :9090 Stat, once a second
//	Prometheus ──────────► :9091 request metrics
//
// The rules are a proxy.Policy; package proxy moves the bytes. As a program it is package sidecar. Within an app's own process it
// is [New] and [Proxy.Run], see the example: the contract with Knative is the same, without a container of its own.
//
// Requests are served by a proxy.Engine, HTTP/2 by net/http. With Config.WrapHandler everything is on net/http, as it is behind
// [Proxy.Handler], for a server of the embedder's own. What comes on a connection to the engine and is no request is
// refused without the policy; that is logged, one line in ten seconds at most, and counted.
//
// # Concurrency
//
// [Proxy.Run] owns a goroutine for each server and one that measures every second, and waits for them. A readiness check
// is shared by all who wait for it: one goroutine runs it while somebody does, and none otherwise; [Proxy.Close] waits
// for it. Requests run on the goroutines of their server. A request blocks in two places, both under its own context:
// for a slot of the breaker, and, until the app has been up once, for the app to listen.
package queueproxy
