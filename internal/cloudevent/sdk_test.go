package cloudevent

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/cloudevents/sdk-go/v2/binding"
	"github.com/cloudevents/sdk-go/v2/event"
	sdkhttp "github.com/cloudevents/sdk-go/v2/protocol/http"
	"github.com/cloudevents/sdk-go/v2/types"
)

// stricter are our reasons to refuse what the SDK takes.
var stricter = []string{
	"is no time of RFC 3339",      // time.Parse's leniency
	"is no media type",            // without a subtype
	"the name of an attribute",    // capitals in JSON, and what isn't ASCII
	"data is no name",             // as an extension
	"take the data for the event", // application/cloudevents+json as the type of data
	"control character", "is no character", "is not UTF-8", "surrogate pair",
	"is there twice", "has one of them", "is of version 1.0", "is no JSON", "an object or an array", "is no integer of 32 bits",
	"is empty", "is no URI", "is no absolute URI", // the SDK leaves them out
	"data of type", "data in base64", "in base64 in structured mode", "the data of", "is missing", "neither headers",
}

func isStricter(err error) bool {
	return slices.ContainsFunc(stricter, func(reason string) bool { return strings.Contains(err.Error(), reason) })
}

// What Read takes is an event of the same attributes and data to the SDK, and it refuses nothing else than what stricter has.
func FuzzReadBinary(f *testing.F) {
	f.Add("1.0", "1", "/s", "t", "2018-04-05T17:31:00Z", "x", "application/json", "Ext", "y", []byte("{}"))
	f.Add("0.3", "1", "https://example.com/?a=b#c", "t", "", "", "", "Datacontentencoding", "base64", []byte("QQ=="))
	f.Add("1.0", "1", "http://[::1", "t", "2018-04-05T7:31:00,5Z", "ü", "text/plain; a=b", "Dataschema", "/x", []byte(nil))
	f.Fuzz(func(t *testing.T, version, id, source, kind, when, subject, mediaType, name, value string, data []byte) {
		h := http.Header{}
		for field, v := range map[string]string{
			"Ce-Specversion": version, "Ce-Id": id, "Ce-Source": source, "Ce-Type": kind, "Ce-Time": when, "Ce-Subject": subject, "Content-Type": mediaType,
			http.CanonicalHeaderKey("Ce-" + name): value,
		} {
			if strings.TrimSpace(v) != v || strings.ContainsAny(v, `%"`) {
				t.Skip() // net/http trims fields; the SDK encodes and decodes nothing
			}
			if v != "" {
				h[field] = []string{v}
			}
		}
		if name == "" || checkName(strings.ToLower(name)) != nil || hasPrefixFold(mediaType, "application/cloudevents") {
			t.Skip() // the SDK panics without a name, and structured mode is below
		}
		ours, err := Read(h, data, Limits{})
		theirs, theirErr := binding.ToEvent(context.Background(), sdkhttp.NewMessage(h, io.NopCloser(bytes.NewReader(data))))
		if theirErr == nil {
			theirErr = theirs.Validate()
		}
		compare(t, ours, err, theirs, theirErr)
	})
}

func FuzzReadStructured(f *testing.F) {
	for _, body := range []string{
		`{"specversion":"1.0","id":"1","source":"/s","type":"t","time":"2018-04-05T17:31:00+01:00","ext":-1,"b":true,"data":{"a":[1,"}"]}}`,
		`{"data":"a\"\u00fc\ud83d\ude00","datacontenttype":"text/plain","specversion":"1.0","id":"1","source":"/s","type":"t","subject":null}`,
		`{"data_base64":"AP8=","datacontenttype":"text/plain","specversion":"1.0","id":"1","source":"/s","type":"t","dataschema":"http://a"}`,
		`{"data":"AP8=","datacontentencoding":"base64","specversion":"0.3","id":"1","source":"/s","type":"t","schemaurl":"a"}`,
		`{"data" : null , "specversion" : "1.0", "id":"1", "source":"/s","type":"t" }`,
	} {
		f.Add([]byte(body))
	}
	f.Fuzz(func(t *testing.T, body []byte) {
		h := http.Header{"Content-Type": {"application/cloudevents+json"}}
		ours, err := Read(h, body, Limits{})
		batch, batchErr := Read(http.Header{"Content-Type": {"application/cloudevents-batch+json"}}, slices.Concat([]byte("["), body, []byte("]")), Limits{})
		if err == nil && (batchErr != nil || !bytes.Equal(batch[0].AppendTo(nil), ours[0].AppendTo(nil))) {
			t.Fatalf("an event alone is read, and in a batch it is %v, %v", batch, batchErr)
		}
		if err != nil {
			return // why is in TestRead; the SDK takes a lot that is no event
		}
		var theirs event.Event
		theirErr := json.Unmarshal(body, &theirs)
		if theirErr == nil {
			theirErr = theirs.Validate()
		}
		compare(t, ours, err, &theirs, theirErr)
	})
}

func compare(t *testing.T, ours []Event, err error, theirs *event.Event, theirErr error) {
	t.Helper()
	switch {
	case err != nil && theirErr != nil:
		return
	case err != nil:
		if !isStricter(err) {
			t.Fatalf("the SDK takes this: %v", err)
		}
		return
	case theirErr != nil:
		t.Fatalf("the SDK doesn't take %v: %v", ours, theirErr)
	}
	e := ours[0]
	want := map[string]string{
		"specversion": theirs.SpecVersion(), "id": theirs.ID(), "type": theirs.Type(), "source": theirs.Source(),
		"subject": theirs.Subject(), "datacontenttype": theirs.DataContentType(), "time": "", "dataschema": theirs.DataSchema(),
	}
	if !theirs.Time().IsZero() {
		want["time"] = types.FormatTime(theirs.Time())
	}
	for name, value := range theirs.Extensions() {
		s, err := types.Format(value)
		if err != nil {
			t.Fatal(err)
		}
		want[name] = s
	}
	maps.DeleteFunc(want, func(_, value string) bool { return value == "" })
	got := asMap(&e)
	for name, value := range got {
		switch name {
		case "source":
			u, _ := url.Parse(value)
			got[name] = u.String()
		case "dataschema", "schemaurl":
			if u, err := url.Parse(value); err == nil {
				delete(got, name)
				got["dataschema"] = u.String()
			}
		case "time":
			when, _ := time.Parse(time.RFC3339, value)
			got[name] = types.FormatTime(when)
		}
	}
	if want["datacontenttype"] == "" && got["datacontenttype"] == "application/json" && len(e.Data()) > 0 {
		delete(got, "datacontenttype") // JSON format §3.1.2 sets what is implied, the SDK doesn't
	}
	maps.DeleteFunc(got, func(_, value string) bool { return value == "" })
	if !maps.Equal(got, want) {
		t.Fatalf("%v, and the SDK has %v", got, want)
	}
	// The SDK keeps the space between the colon and the data in JSON.
	if d := theirs.Data(); !bytes.Equal(e.Data(), d) && !bytes.Equal(e.Data(), bytes.TrimLeft(d, " \t\r\n")) {
		t.Fatalf("data %q, and the SDK has %q", e.Data(), theirs.Data())
	}
}

func BenchmarkRead(b *testing.B) {
	e := example(b)
	object := map[string]any{"data": json.RawMessage(exampleData)}
	for name, value := range e.Attributes() {
		object[name] = value
	}
	body, err := json.Marshal(object)
	if err != nil {
		b.Fatal(err)
	}
	h, structured := exampleHeader(), http.Header{"Content-Type": {"application/cloudevents+json"}}
	b.Run("binary", func(b *testing.B) {
		for b.Loop() {
			if _, err := Read(h, exampleData, Limits{}); err != nil {
				b.Fatal(err)
			}
		}
	})
	b.Run("structured", func(b *testing.B) {
		for b.Loop() {
			if _, err := Read(structured, body, Limits{}); err != nil {
				b.Fatal(err)
			}
		}
	})
	for name, in := range map[string]struct {
		http.Header
		body []byte
	}{"binary by the SDK": {h, exampleData}, "structured by the SDK": {structured, body}} {
		b.Run(name, func(b *testing.B) {
			for b.Loop() {
				e, err := binding.ToEvent(context.Background(), sdkhttp.NewMessage(in.Header, io.NopCloser(bytes.NewReader(in.body))))
				if err != nil || e.Validate() != nil {
					b.Fatal(err, e.Validate())
				}
			}
		})
	}
}

func BenchmarkEvent(b *testing.B) {
	e := example(b)
	record := e.AppendTo(nil)
	b.Run("Attribute", func(b *testing.B) {
		for b.Loop() {
			e.Attribute("type")
		}
	})
	b.Run("AppendTo", func(b *testing.B) {
		for b.Loop() {
			record = e.AppendTo(record[:0])
		}
	})
	b.Run("Parse", func(b *testing.B) {
		for b.Loop() {
			if _, err := Parse(record); err != nil {
				b.Fatal(err)
			}
		}
	})
	b.Run("WriteRequest", func(b *testing.B) {
		for b.Loop() {
			e.WriteRequest(http.Header{})
		}
	})
}
