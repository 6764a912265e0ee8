package static

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"net"
	"regexp"
	"strings"
	"time"

	"github.com/sluice-proxy/sluice/activator"
	"github.com/sluice-proxy/sluice/internal/knative"
	"github.com/sluice-proxy/sluice/proxy"
	"github.com/sluice-proxy/sluice/throttler"
	"go.yaml.in/yaml/v3"
)

// document is the content of a file.
type document struct {
	Revisions []revision `yaml:"revisions"`
}

type revision struct {
	Namespace            at[string]  `yaml:"namespace"`
	Name                 at[string]  `yaml:"name"`
	Service              string      `yaml:"service"`
	Configuration        string      `yaml:"configuration"`
	ContainerConcurrency at[int]     `yaml:"containerConcurrency"`
	Timeout              at[float64] `yaml:"timeoutSeconds"`
	ResponseStartTimeout at[float64] `yaml:"responseStartTimeoutSeconds"`
	IdleTimeout          at[float64] `yaml:"idleTimeoutSeconds"`
	Protocol             at[string]  `yaml:"protocol"`
	FullDuplex           bool        `yaml:"fullDuplex"` // no effect: an app may always respond while it reads the request
	MaxWaiting           at[int]     `yaml:"maxWaiting"`
	NoEarlyUse           bool        `yaml:"noEarlyUse"`
	Probe                at[string]  `yaml:"probe"`
	Affinity             at[string]  `yaml:"affinity"`
	AffinityOrder        at[string]  `yaml:"affinityOrder"`
	Pods                 []pod       `yaml:"pods"`
	Peers                []string    `yaml:"peers"`
}

type pod struct {
	ID      string     `yaml:"id"`
	Address at[string] `yaml:"address"`
	Zone    string     `yaml:"zone"` // no effect
	Ready   at[bool]   `yaml:"ready"`
}

// at is a value and its line, which is 0 if the field is missing.
type at[T any] struct {
	v    T
	line int
}

// UnmarshalYAML implements yaml.Unmarshaler.
func (a *at[T]) UnmarshalYAML(n *yaml.Node) error {
	a.line = n.Line
	return n.Decode(&a.v)
}

// defaultTimeout is the default of Knative's config-defaults (revision-timeout-seconds).
const defaultTimeout = 300 * time.Second

// Parse parses the content of a file, which errors call name. It reports as many errors as it can, in one line; each begins
// with name:line.
func Parse(name string, data []byte) ([]Revision, error) {
	p := parser{name: name}
	var (
		doc   document
		lines documentLines
	)
	dec := yaml.NewDecoder(bytes.NewReader(data))
	dec.KnownFields(true)
	switch err := dec.Decode(&doc); {
	case errors.Is(err, io.EOF):
		p.fail(1, "the file is empty; a file without revisions is \"revisions: []\"")
	case err != nil:
		p.failYAML(err)
	default:
		if err := dec.Decode(new(yaml.Node)); !errors.Is(err, io.EOF) {
			p.fail(1, "the file has more than one YAML document")
		}
		if err := yaml.Unmarshal(data, &lines); err != nil {
			p.failYAML(err)
		}
	}
	if len(p.errs) > 0 {
		return nil, p.err()
	}
	all := make([]Revision, 0, len(doc.Revisions))
	seen := map[throttler.RevisionID]int{}
	for i := range doc.Revisions {
		r := p.revision(&doc.Revisions[i], lines.Revisions[i])
		if first, twice := seen[r.ID]; twice {
			p.fail(lines.Revisions[i].line, "revision %s is already defined in line %d", r.ID, first)
		}
		seen[r.ID] = lines.Revisions[i].line
		all = append(all, r)
	}
	return all, p.err()
}

type parser struct {
	name string
	errs []string
}

func (p *parser) fail(line int, format string, args ...any) {
	p.errs = append(p.errs, fmt.Sprintf("%s:%d: %s", p.name, line, fmt.Sprintf(format, args...)))
}

func (p *parser) err() error {
	if len(p.errs) == 0 {
		return nil
	}
	return errors.New(strings.Join(p.errs, "; "))
}

var (
	yamlLine = regexp.MustCompile(`^(?:yaml: )?line (\d+): (.*)$`)
	goType   = regexp.MustCompile(` in type \S+$`)
)

// failYAML adds the errors of the YAML library, with the line in front.
func (p *parser) failYAML(err error) {
	texts := []string{err.Error()}
	if te, ok := errors.AsType[*yaml.TypeError](err); ok {
		texts = te.Errors
	}
	for _, text := range texts {
		line := "1"
		if m := yamlLine.FindStringSubmatch(text); m != nil {
			line, text = m[1], m[2]
		}
		text = strings.ReplaceAll(goType.ReplaceAllString(strings.TrimPrefix(text, "yaml: "), ""), "\n", " ")
		p.errs = append(p.errs, p.name+":"+line+": "+text)
	}
}

func (p *parser) revision(r *revision, lines revisionLines) Revision {
	for _, f := range []struct {
		name string
		at   at[string]
	}{{"namespace", r.Namespace}, {"name", r.Name}} {
		if f.at.v == "" {
			p.fail(max(f.at.line, lines.line), "%s is missing", f.name)
		}
	}
	out := Revision{
		Revision: activator.Revision{
			ID:         throttler.RevisionID{Namespace: r.Namespace.v, Name: r.Name.v},
			Limit:      p.positive("containerConcurrency", r.ContainerConcurrency),
			MaxWaiting: p.positive("maxWaiting", r.MaxWaiting),
			Timeouts: proxy.Timeouts{
				Total:         p.seconds("timeoutSeconds", r.Timeout, defaultTimeout),
				ResponseStart: p.seconds("responseStartTimeoutSeconds", r.ResponseStartTimeout, 0),
				Idle:          p.seconds("idleTimeoutSeconds", r.IdleTimeout, 0),
			},
			Proto:         p.protocol(r.Protocol),
			Service:       r.Service,
			Configuration: r.Configuration,
			NoEarlyUse:    r.NoEarlyUse,
			Probe:         p.probe(r.Probe),
			Affinity:      r.Affinity.v,
			AffinityOrder: r.AffinityOrder.v,
		},
		Peers: r.Peers,
	}
	if _, err := knative.ParseAffinity(r.Affinity.v, r.AffinityOrder.v); err != nil {
		p.fail(max(r.Affinity.line, r.AffinityOrder.line), "%v", err)
	}
	ids := map[string]bool{}
	for i, pd := range r.Pods {
		p.pod(&out.Endpoints, pd, lines.pods[i], ids)
	}
	return out
}

func (p *parser) pod(e *activator.Endpoints, d pod, line int, ids map[string]bool) {
	if _, port, err := net.SplitHostPort(d.Address.v); err != nil || port == "" {
		p.fail(max(line, d.Address.line), "address %q is not HOST:PORT", d.Address.v)
		return
	}
	ep := activator.Endpoint{ID: d.ID, Addr: d.Address.v}
	if ep.ID == "" {
		ep.ID = ep.Addr
	}
	if ids[ep.ID] {
		p.fail(line, "the revision has another pod %q", ep.ID)
	}
	ids[ep.ID] = true
	if d.Ready.line == 0 || d.Ready.v {
		e.Ready = append(e.Ready, ep)
	} else {
		e.NotReady = append(e.NotReady, ep)
	}
}

func (p *parser) positive(name string, n at[int]) int {
	if n.v < 0 {
		p.fail(n.line, "%s is negative", name)
	}
	return n.v
}

// maxSeconds keeps durations from overflowing; in Kubernetes these fields have 32 bits.
const maxSeconds = 1 << 31

func (p *parser) seconds(name string, n at[float64], missing time.Duration) time.Duration {
	if n.line == 0 {
		return missing
	}
	if !(n.v >= 0 && n.v < maxSeconds) {
		p.fail(n.line, "%s is not a number of seconds", name)
		return 0
	}
	return time.Duration(n.v * float64(time.Second))
}

func (p *parser) probe(s at[string]) activator.ProbeKind {
	switch s.v {
	case "", "queue-proxy":
		return activator.ProbeQueueProxy
	case "tcp":
		return activator.ProbeTCP
	}
	p.fail(s.line, "probe %q is neither queue-proxy nor tcp", s.v)
	return activator.ProbeQueueProxy
}

func (p *parser) protocol(s at[string]) proxy.Proto {
	switch s.v {
	case "":
		return proxy.SameProto
	case "http1":
		return proxy.HTTP1
	case "h2c":
		return proxy.HTTP2
	}
	p.fail(s.line, "protocol %q is neither http1 nor h2c", s.v)
	return proxy.SameProto
}
