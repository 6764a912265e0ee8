// Package clients tests the quickstart's Kubernetes API with the clients that people use.
package clients
