// Command quickstart serves Knative Services on this machine: an ingress, the activator and an autoscaler in one process,
// and for each replica a queue-proxy, the app and their supervisor as processes of their own.
//
//	go run ./cmd/quickstart
//	curl -H 'Host: hello.default.127.0.0.1.sslip.io' http://127.0.0.1:8080
//
// The binary executes itself for the processes of a replica; argv[0] says as what.
package main
