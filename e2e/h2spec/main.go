package main

import (
	"encoding/json"
	"flag"
	"fmt"
	"net"
	"os"
	"time"

	"github.com/summerwind/h2spec/config"
	"github.com/summerwind/h2spec/generic"
	"github.com/summerwind/h2spec/hpack"
	"github.com/summerwind/h2spec/http2"
	"github.com/summerwind/h2spec/spec"
)

// Outcome is the outcome of one test.
type Outcome struct {
	Name  string
	Error string // empty if it has passed
	Skip  bool
}

func main() {
	if err := run(); err != nil {
		fmt.Fprintln(os.Stderr, "h2spec:", err)
		os.Exit(1)
	}
}

func run() error {
	c := config.Config{MaxHeaderLen: 4000, Strict: true}
	flag.StringVar(&c.Host, "host", "127.0.0.1", "`NAME` of the server; 127.0.0.1 is what is dialled")
	flag.IntVar(&c.Port, "port", 8012, "of the server")
	flag.StringVar(&c.Path, "path", "/", "of the requests")
	flag.DurationVar(&c.Timeout, "timeout", 2*time.Second, "for each answer, after which there is none")
	flag.Parse()
	net.DefaultResolver = &net.Resolver{PreferGo: true, Dial: loopbackOnly}
	out := os.Stdout
	os.Stdout = os.Stderr // h2spec prints as it goes
	var all []Outcome
	for _, group := range []*spec.TestGroup{generic.Spec(), http2.Spec(), hpack.Spec()} {
		group.Test(&c)
		all = outcomes(all, group)
	}
	return json.NewEncoder(out).Encode(all)
}

// outcomes appends the outcomes of a group and of the groups within it.
func outcomes(all []Outcome, g *spec.TestGroup) []Outcome {
	for _, tests := range [][]*spec.TestCase{g.Tests, g.StrictTests} {
		for _, t := range tests {
			if t.Result == nil {
				continue
			}
			o := Outcome{Name: fmt.Sprintf("%s/%d: %s", g.ID(), t.Result.Sequence, t.Desc), Skip: t.Result.Skipped}
			if t.Result.Failed {
				o.Error = t.Result.Error.Error()
			}
			all = append(all, o)
		}
	}
	for _, sub := range g.Groups {
		all = outcomes(all, sub)
	}
	return all
}
