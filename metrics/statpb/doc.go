// Package statpb holds the protobuf messages that carry autoscaling
// statistics: Stat, scraped from each pod, and WireStatMessages, pushed by the
// activator over a websocket.
package statpb

//go:generate protoc -I ../.. --go_out=../.. --go_opt=paths=source_relative metrics/statpb/stat.proto
