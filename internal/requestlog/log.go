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
	// Revision tells whose request it is. It is called in Begin, before the policy within, so the header is as the
	// client sent it, and must not block. Nil: unknown.
	Revision func(*proxy.Request) Revision
	// Probe tells which requests are probes, in Begin too. Nil: those of kubelets, and those that carry K-Network-Probe.
	Probe func(*proxy.Request) bool
	// Failed is told that the template has failed for a request, what it is and why: of a template's first failure, and
	// then every ten seconds at most. It is called by a request, and must not block. Nil: nobody is told.
	Failed func(error)
	// Buffer is how many bytes of lines may wait for Out. Default 1 MiB.
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

// setting is what Set said last. It is replaced, never changed, save for failures.
type setting struct {
	text     string
	template *template.Template // nil: the built-in one
	probes   bool
	failures logpace.Pace
}

// New returns a log that is off, or the error of Validate. Nothing runs before the first line.
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

// Set turns the log on or off, from the next request on. An empty template is DefaultTemplate. When the template can't be
// parsed everything stays as it was, and the error, one line, says why.
func (l *Log) Set(text string, enabled, probes bool) error {
	if !enabled {
		l.setting.Store(nil)
		return nil
	}
	if text == "" {
		text = DefaultTemplate
	}
	if old := l.setting.Load(); old != nil && old.text == text && old.probes == probes {
		return nil // a ConfigMap is told again and again; what Failed was told isn't
	}
	s := &setting{text: text, probes: probes}
	if strings.TrimSpace(text) != DefaultTemplate { // a block of YAML ends in a line end
		var err error
		if s.template, err = template.Parse("requestlog", text, methods()); err != nil {
			return fmt.Errorf("the template of the request log can't be used: %s", oneLine(err))
		}
	}
	l.setting.Store(s)
	return nil
}

// Dropped counts lines that were lost because Out was too slow, failed, or the log was closed.
func (l *Log) Dropped() uint64 { return l.out.dropped.Load() }

// Failed counts lines that lack what their template failed to make.
func (l *Log) Failed() uint64 { return l.failed.Load() }

// Close writes what is buffered and ends the writing; later lines are dropped. It blocks until all is written, or ctx
// ends, whose error it then returns: lines may be lost, and the writing ends when Out returns.
func (l *Log) Close(ctx context.Context) error { return l.out.close(ctx) }

// write makes the line of a request.
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
	if most := l.config.Buffer; len(line) > most { // a template without bounds: what fits is better than nothing
		b.Truncate(most - 1)
		line = b.Bytes()
	}
	if line[len(line)-1] != '\n' {
		_ = b.WriteByte('\n')
		line = b.Bytes()
	}
	for i, c := range line[:len(line)-1] {
		if c < ' ' && c != '\t' || c == 0x7f { // besides line ends what terminals obey
			line[i] = ' '
		}
	}
	l.out.put(line)
}

// fail tells that a line lacks something.
func (l *Log) fail(s *setting, err error) {
	l.failed.Add(1)
	if l.config.Failed == nil {
		return
	}
	if others, due := s.failures.Due(); due {
		l.config.Failed(fmt.Errorf("the template of the request log fails for a request, whose line lacks what it failed to make "+
			"(%d more since this was last said): %s; the template is %.1000q", others, oneLine(err), s.text))
	}
}

func oneLine(err error) string { return strings.Join(strings.Fields(err.Error()), " ") }
