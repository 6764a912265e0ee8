// Command quickstart serves Knative Services on this machine. Ingress, activator and autoscaler are one process; each
// replica is a queue-proxy, the app and their supervisor, each a process of its own.
//
//	go run ./cmd/quickstart
//	curl -H 'Host: hello.default.127.0.0.1.sslip.io' http://127.0.0.1:8080
//
// The binary also executes itself for the processes of a replica; argv[0] selects which.
package main
