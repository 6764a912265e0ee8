// Package examples holds manifests to try, for cmd/quickstart and cmd/activator.
//
//	go run ./cmd/quickstart -f examples/NAME.yaml
//
// It has no code: the quickstart embeds Hello, to run where there are no files.
package examples

import _ "embed"

// Hello is hello.yaml.
//
//go:embed hello.yaml
var Hello []byte
