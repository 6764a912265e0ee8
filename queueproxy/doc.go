// Package queueproxy is the sidecar that guards one pod of a revision: it limits
// how many requests the app has at once, queues the rest in order of arrival,
// answers whether the app is ready, and reports to the autoscaler how busy it is.
//
//	activator, ingress ──► :8012 policy ──► breaker ──► app on 127.0.0.1
//	kubelet, activator ──► :8012 probe  ──► readiness ──► app
//	kubelet (preStop)  ──► :8022 drain
//	autoscaler ──────────► :9090 Stat, once a second
//	Prometheus ──────────► :9091 request metrics
//
// Start with [New], [Config] and [Proxy.Run], as the example does. As a program it
// is package sidecar; inside the app's own process a [Config.Dial] replaces the
// app's port. Requests are served by a proxy.Engine; [Proxy.Handler] is for a
// net/http server of the caller's own.
//
// The methods of a [Proxy] may be called from any goroutine. Run owns a goroutine
// for each server and one that measures every second, and waits for them. A request
// blocks under its own context: for a slot of the breaker, and, until the app has
// been up once, for the app to listen.
package queueproxy
