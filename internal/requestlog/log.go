package requestlog

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"sync"
	"sync/atomic"

	"github.com/sluice-proxy/sluice/internal/knative"
	"github.com/sluice-proxy/sluice/internal/logpace"
	"github.com/sluice-proxy/sluice/internal/template"
	"github.com/sluice-proxy/sluice/proxy"
)

// Config of a Log. Only Out has no default.
type Config struct {
	// Out gets the lines.
	Out io.Writer
	// Revision returns the revision of a request. Begin calls it before the inner policy, when the header is as the client sent
	// it. It must not block. If it is nil, revisions are unknown.
	Revision func(*proxy.Request) Revision
	// Probe reports whether a request is a probe; Begin calls it. Nil: requests of kubelets and those with K-Network-Probe.
	Probe func(*proxy.Request) bool
	// Failed is called when the template has failed for a request: for a template's first failure, and then every ten seconds
	// at most. The request's goroutine calls it, so that it must not block. It may be nil.
	Failed func(error)
	// Buffer is the number of bytes of lines that may wait for Out. Default 1 MiB.
	Buffer int
}

// Validate reports the first field that can't be used.
func (c Config) Validate() error {
	if c.Out == nil {
		return errors.New("requestlog: Config.Out is missing")
	}
	if c.Buffer < 0 {
		return fmt.Errorf("requestlog: Config.Buffer %d is negative", c.Buffer)
	}
	return nil
}

// Log is a log of requests, off until Set. Its methods may be called concurrently.
type Log struct {
	config  Config
	setting atomic.Pointer[setting] // nil: off
	failed  atomic.Uint64
	out     output
	buffers sync.Pool // of *bytes.Buffer
}

// setting has the arguments of the last Set. Except for failures it is never changed but replaced.
type setting struct {
	text     string
	template *template.Template // nil: the built-in one
	probes   bool
	failures logpace.Pace
}

// New returns a log that is off, or the error of Validate. It starts no goroutine.
func New(c Config) (*Log, error) {
	if err := c.Validate(); err != nil {
		return nil, err
	}
	if c.Probe == nil {
		c.Probe = func(req *proxy.Request) bool { return knative.IsProbe(req.Header.Get) }
	}
	if c.Revision == nil {
		c.Revision = func(*proxy.Request) Revision { return Revision{} }
	}
	if c.Buffer == 0 {
		c.Buffer = 1 << 20
	}
	l := &Log{config: c}
	l.out.init(c.Out, c.Buffer)
	l.buffers.New = func() any { return new(bytes.Buffer) }
	return l, nil
}

// Set turns the log on or off, from the next request on. An empty template means DefaultTemplate. If the template can't be
// parsed, Set returns an error of one line and changes nothing.
func (l *Log) Set(text string, enabled, probes bool) error {
	if !enabled {
		l.setting.Store(nil)
		return nil
	}
	if text == "" {
		text = DefaultTemplate
	}
	if old := l.setting.Load(); old != nil && old.text == text && old.probes == probes {
		return nil // the same ConfigMap may come again; the pace of Failed must not restart
	}
	s := &setting{text: text, probes: probes}
	if strings.TrimSpace(text) != DefaultTemplate { // a block of YAML ends with a line break
		var err error
		if s.template, err = template.Parse("requestlog", text, methods()); err != nil {
			return fmt.Errorf("the template of the request log can't be used: %s", oneLine(err))
		}
	}
	l.setting.Store(s)
	return nil
}

// Wrap returns a policy that calls p and logs each request while the log is on.
func (l *Log) Wrap(p proxy.Policy) proxy.Policy {
	w := &policy{log: l, Policy: p}
	w.exchanges.New = func() any { return &exchange{policy: w} }
	return w
}

// Dropped returns the number of lines that were lost because Out was too slow or failed, or the log was closed.
func (l *Log) Dropped() uint64 { return l.out.dropped.Load() }

// Pending returns the number of lines that Out has not taken yet: lost, if the program ends now.
func (l *Log) Pending() int { return int(l.out.pending.Load()) }

// Failed returns the number of lines that are incomplete because their template failed.
func (l *Log) Failed() uint64 { return l.failed.Load() }

// Close writes the buffered lines and ends the writing goroutine; later lines are dropped. It blocks until all lines are
// written. If ctx ends before, it returns ctx's error: lines may be lost, and the goroutine ends once Out returns.
func (l *Log) Close(ctx context.Context) error { return l.out.close(ctx) }

// write makes the line of a request and puts it into the buffer.
func (l *Log) write(s *setting, f *fields) {
	b := l.buffers.Get().(*bytes.Buffer)
	defer l.buffers.Put(b)
	b.Reset()
	if s.template == nil {
		_, _ = b.Write(appendBuiltin(b.AvailableBuffer(), f))
	} else if err := s.template.Execute(b, f); err != nil {
		l.fail(s, err)
	}
	line := b.Bytes()
	if len(bytes.TrimSpace(line)) == 0 {
		return
	}
	if most := l.config.Buffer; len(line) > most { // cut off the line of a template without bounds
		b.Truncate(most - 1)
		line = b.Bytes()
	}
	if line[len(line)-1] != '\n' {
		_ = b.WriteByte('\n')
		line = b.Bytes()
	}
	for i, c := range line[:len(line)-1] {
		if c < ' ' && c != '\t' || c == 0x7f { // line breaks and control characters of terminals
			line[i] = ' '
		}
	}
	l.out.put(line)
}

// fail counts and reports an incomplete line.
func (l *Log) fail(s *setting, err error) {
	l.failed.Add(1)
	if l.config.Failed == nil {
		return
	}
	if others, due := s.failures.Due(); due {
		l.config.Failed(fmt.Errorf("the template of the request log fails for a request, whose line is incomplete "+
			"(%d more since the last report): %s; the template is %.1000q", others, oneLine(err), s.text))
	}
}

func oneLine(err error) string { return strings.Join(strings.Fields(err.Error()), " ") }
