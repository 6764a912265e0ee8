// Package examples holds manifests to try, for cmd/quickstart and cmd/activator.
//
//	go run ./cmd/quickstart -f examples/NAME.yaml
//
// The package has only a variable: the quickstart embeds Hello, so that it can run without files.
package examples

import _ "embed"

// Hello is hello.yaml.
//
//go:embed hello.yaml
var Hello []byte
