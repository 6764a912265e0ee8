package clients

import (
	"bufio"
	"bytes"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/cloudevents/conformance/pkg/event"
	cehttp "github.com/cloudevents/conformance/pkg/http"
	"github.com/cucumber/godog"
)

// TestCloudEvents sends the events of the CloudEvents project's own conformance module, with its own encoder, to a broker, and reads with its
// decoder what a subscriber gets: the events of its YAML files in binary mode and, if their data is JSON, in structured mode, and those of
// its features, which are read by the program that the project reads them with.
func TestCloudEvents(t *testing.T) {
	t.Parallel()
	dir, err := goes(".", "list", "-m", "-f", "{{.Dir}}", "github.com/cloudevents/conformance")
	if err != nil {
		t.Fatal(err)
	}
	c := newConformance(t)
	files, err := filepath.Glob(filepath.Join(dir, "yaml", "*", "*.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	more, err := filepath.Glob(filepath.Join(dir, "yaml", "*.yaml"))
	if files = append(files, more...); err != nil || len(files) != 4 {
		t.Fatalf("files with events: %q, want 4: %v", files, err)
	}
	for _, file := range files {
		name, _ := filepath.Rel(dir, file)
		all, err := event.FromYaml(file, false)
		if err != nil || len(all) == 0 {
			t.Fatalf("%s: %d events: %v", name, len(all), err)
		}
		for i, e := range all {
			for _, mode := range []string{event.BinaryMode, event.StructuredMode} {
				if e.Mode = mode; mode == event.StructuredMode && !json.Valid([]byte(e.Data)) {
					continue // the module sends no other data in structured mode
				}
				t.Run(fmt.Sprintf("%s/%d/%s", name, i, mode), func(t *testing.T) { c.vector(t, e) })
			}
		}
	}
	t.Run("features", func(t *testing.T) {
		suite := godog.TestSuite{
			ScenarioInitializer: c.steps,
			Options: &godog.Options{
				Paths: []string{filepath.Join(dir, "features", "http-protocol-binding.feature")}, Format: "progress", Output: t.Output(), Strict: true, TestingT: t,
			},
		}
		if suite.Run() != 0 {
			t.Error("a scenario has failed")
		}
	})
}

// conformance is a broker with a subscriber.
type conformance struct {
	broker string
	got    chan *event.Event // that have been delivered
}

func newConformance(t *testing.T) *conformance {
	c := &conformance{got: make(chan *event.Event, 1)}
	sink := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		e, err := cehttp.RequestToEvent(r)
		if err != nil {
			t.Errorf("what has been delivered can't be read: %v", err)
			return
		}
		select {
		case c.got <- e:
		case <-r.Context().Done():
		}
	}))
	t.Cleanup(sink.Close)
	file := filepath.Join(t.TempDir(), "events.yaml")
	manifest := fmt.Sprintf(`apiVersion: eventing.knative.dev/v1
kind: Broker
metadata: {name: conformance}
---
apiVersion: eventing.knative.dev/v1
kind: Trigger
metadata: {name: conformance}
spec: {broker: conformance, subscriber: {uri: %q}}
`, sink.URL)
	if err := os.WriteFile(file, []byte(manifest), 0o600); err != nil {
		t.Fatal(err)
	}
	q := newQuickstart(t, "-f", file)
	c.broker = fmt.Sprintf("http://127.0.0.1:%d/default/conformance", q.port)
	return c
}

// deliver sends a request to the broker, and returns the event that the subscriber gets, without what isn't an attribute.
func (c *conformance) deliver(r *http.Request) (*event.Event, error) {
	if err := cehttp.Do(r, nil); err != nil {
		return nil, err
	}
	select {
	case e := <-c.got:
		e.Mode, e.TransportExtensions = "", nil
		extensions := event.Extensions{}
		for name, value := range e.Attributes.Extensions {
			plain, err := url.PathUnescape(value) // HTTP binding 1.0.2, section 3.1.3.2, which the module leaves out
			if err != nil {
				return nil, fmt.Errorf("attribute %s: %w", name, err)
			}
			extensions[strings.ToLower(name)] = plain // HTTP doesn't tell upper from lower case in the names of fields
		}
		e.Attributes.Extensions = extensions
		return e, nil
	case <-time.After(patience):
		return nil, fmt.Errorf("%s has accepted the event and doesn't deliver it", c.broker)
	}
}

// vector sends an event, and checks what is delivered.
func (c *conformance) vector(t *testing.T, e event.Event) {
	r, err := cehttp.EventToRequest(c.broker, e)
	if err != nil {
		t.Fatal(err)
	}
	got, err := c.deliver(r)
	if err != nil {
		t.Fatal(err)
	}
	want := e
	want.Mode, want.TransportExtensions, want.Attributes.Extensions = "", nil, event.Extensions{}
	for name, value := range e.Attributes.Extensions {
		want.Attributes.Extensions[name] = strings.TrimSpace(value) // as the module sends it
	}
	if e.Mode == event.StructuredMode {
		var compact bytes.Buffer
		if err := json.Compact(&compact, []byte(e.Data)); err != nil {
			t.Fatal(err)
		}
		want.Data = compact.String()
		if e.Attributes.DataContentType == "" {
			want.Attributes.DataContentType = "application/json" // JSON format 1.0.2, section 3.1.1
		}
	}
	if !reflect.DeepEqual(*got, want) {
		t.Errorf("delivered: %+v\nwant:      %+v", *got, want)
	}
}

// steps are the sentences of the features. What the broker makes of a request is what it delivers.
func (c *conformance) steps(s *godog.ScenarioContext) {
	var request *http.Request
	var got *event.Event
	s.Step(`^HTTP Protocol Binding is supported$`, func() {})
	s.Step(`^an HTTP request$`, func(text *godog.DocString) error {
		r, err := http.ReadRequest(bufio.NewReader(strings.NewReader(text.Content)))
		if err != nil {
			return err
		}
		request, err = http.NewRequest(r.Method, c.broker, r.Body)
		if err == nil {
			request.Header, request.ContentLength = r.Header, r.ContentLength
		}
		return err
	})
	s.Step(`^parsed as HTTP request$`, func() (err error) {
		got, err = c.deliver(request)
		return err
	})
	s.Step(`^the attributes are:$`, func(table *godog.Table) error {
		for _, row := range table.Rows[1:] {
			name, want := row.Cells[0].Value, row.Cells[1].Value
			if value := got.Get(name); value != want {
				return fmt.Errorf("attribute %s is %q, should be %q", name, value, want)
			}
		}
		return nil
	})
	s.Step(`^the data is equal to the following JSON:$`, func(text *godog.DocString) error {
		var data, want any
		if err := json.Unmarshal([]byte(text.Content), &want); err != nil {
			return err
		}
		if err := json.Unmarshal([]byte(got.Data), &data); err != nil {
			return err
		}
		if !reflect.DeepEqual(data, want) {
			return fmt.Errorf("data is %s, should be %s", got.Data, text.Content)
		}
		return nil
	})
}
