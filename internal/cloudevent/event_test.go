package cloudevent

import (
	"bytes"
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"strings"
	"testing"
	"unicode/utf8"

	sdk "github.com/cloudevents/sdk-go/v2/event"
	"pgregory.net/rapid"
)

// What a sink reads is what the broker has read: nothing gets lost in binary mode, in structured mode, nor in the log.
func TestEventsStayAsTheyAre(t *testing.T) {
	value := rapid.String().Filter(func(s string) bool { return checkString(s) == nil })
	nonEmpty := value.Filter(func(s string) bool { return s != "" })
	rapid.Check(t, func(t *rapid.T) {
		attributes := rapid.MapOfN(rapid.StringMatching(`x[a-z0-9]{0,20}`), value, 0, 20).Draw(t, "extensions")
		attributes["specversion"] = rapid.SampledFrom([]string{"1.0", "0.3"}).Draw(t, "specversion")
		attributes["id"] = nonEmpty.Draw(t, "id")
		attributes["type"] = nonEmpty.Draw(t, "type")
		attributes["source"] = rapid.SampledFrom([]string{"/s", "https://example.com/a%20b?c=ü#d", "urn:uuid:1", "a b"}).Draw(t, "source")
		if rapid.Bool().Draw(t, "optional") {
			attributes["subject"] = nonEmpty.Draw(t, "subject")
			attributes["time"] = rapid.SampledFrom([]string{"2018-04-05T17:31:00Z", "2018-04-05T17:31:00.100-07:00"}).Draw(t, "time")
			attributes["datacontenttype"] = rapid.SampledFrom([]string{"application/json", `text/plain; charset="utf-8"`}).Draw(t, "datacontenttype")
		}
		data := rapid.OneOf(
			rapid.SliceOf(rapid.Byte()),
			rapid.Map(rapid.String(), func(s string) []byte { return []byte(s) }),
			rapid.SampledFrom([][]byte{[]byte("null"), []byte(`{"a": [1.50, "<ü\u0026"] }`), []byte(`"text"`), []byte(" 1\n"), []byte("\"\xff\"")}),
		).Draw(t, "data")

		event, err := New(attributes, data)
		if err != nil {
			t.Fatal(err)
		}
		event, err = Parse(event.AppendTo(nil))
		if err != nil {
			t.Fatal(err)
		}
		h := http.Header{}
		body := event.WriteRequest(h)
		for name, values := range h {
			if name == "Content-Type" {
				continue
			}
			for _, c := range []byte(values[0]) {
				if c <= ' ' || c > '~' || c == '"' {
					t.Fatalf("%s has the byte %q", name, c)
				}
			}
		}
		events, err := Read(h, body, Limits{})
		if err != nil {
			t.Fatal(err)
		}
		got := events[0]
		if !maps.Equal(asMap(&got), attributes) || !bytes.Equal(got.Data(), data) {
			t.Fatalf("%v %q, want %v %q", asMap(&got), got.Data(), attributes, data)
		}
		if !bytes.Equal(got.AppendTo(nil), event.AppendTo(nil)) {
			t.Fatal("the same event has two records")
		}

		h = http.Header{}
		body = event.WriteStructured(h)
		if events, err = Read(h, body, Limits{}); err != nil {
			t.Fatalf("%s: %v", body, err)
		}
		want := data
		if json.Valid(data) && attributes["datacontenttype"] == "application/json" {
			want = bytes.TrimSpace(data)
		}
		if got := events[0]; !maps.Equal(asMap(&got), attributes) || !bytes.Equal(got.Data(), want) {
			t.Fatalf("%s: %v %q, want %v %q", body, asMap(&got), got.Data(), attributes, want)
		}
		if attributes["specversion"] == "1.0" && attributes["time"] == "" && attributes["source"] != "a b" {
			var theirs sdk.Event
			if err := json.Unmarshal(body, &theirs); err != nil || theirs.ID() != attributes["id"] {
				t.Fatalf("%s: the SDK says %v, %v", body, theirs, err)
			}
			if kind := attributes["datacontenttype"]; kind != "" && !bytes.Equal(theirs.Data(), want) {
				t.Fatalf("%s: the SDK reads %q, want %q", body, theirs.Data(), want)
			}
		}
	})
}

// What is left out isn't there, and an event without data has no member of it.
func TestWriteStructured(t *testing.T) {
	e, err := New(map[string]string{"specversion": "1.0", "id": "1", "source": "/s", "type": "t", "ext": "x"}, nil)
	if err != nil {
		t.Fatal(err)
	}
	h := http.Header{}
	if got := e.WriteStructured(h, "ext"); string(got) != `{"id":"1","source":"/s","specversion":"1.0","type":"t"}` || h.Get("Content-Type") != "application/cloudevents+json" {
		t.Errorf("%s %v", got, h)
	}
}

func TestSet(t *testing.T) {
	e := example(t)
	before := e
	if err := e.Set("knativebrokerttl", "254"); err != nil {
		t.Fatal(err)
	}
	if err := e.Set("subject", "another"); err != nil {
		t.Fatal(err)
	}
	want := asMap(&before)
	want["knativebrokerttl"], want["subject"] = "254", "another"
	if !maps.Equal(asMap(&e), want) {
		t.Errorf("%v, want %v", asMap(&e), want)
	}
	if ttl, ok := before.Attribute("knativebrokerttl"); ok {
		t.Errorf("a copy has got the attribute too, %s", ttl)
	}
	for _, wrong := range []pair{{"my-ext", "x"}, {"data", "x"}, {"ext", "\x00"}, {"id", ""}, {"specversion", "2"}, {"ext", strings.Repeat("x", longestValue+1)}} {
		if err := e.Set(wrong.name, wrong.value); err == nil {
			t.Errorf("%v can be set", wrong)
		}
	}
	if !maps.Equal(asMap(&e), want) {
		t.Errorf("an error has left %v", asMap(&e))
	}
}

func TestParseErrors(t *testing.T) {
	e := example(t)
	record := e.AppendTo(nil)
	attributes := recordHead + len(e.attributes)
	for n := range attributes {
		if _, err := Parse(record[:n]); err == nil {
			t.Fatalf("a record is read that ends after %d bytes", n)
		}
	}
	for n := attributes; n <= len(record); n++ {
		if _, err := Parse(record[:n]); err != nil {
			t.Fatal(err)
		}
	}
	another := bytes.Clone(record)
	another[0]++
	if _, err := Parse(another); err == nil || !strings.Contains(err.Error(), "version 2") {
		t.Errorf("another version of records: %v", err)
	}
}

func FuzzParse(f *testing.F) {
	e := example(f)
	f.Add(e.AppendTo(nil))
	f.Add([]byte{recordVersion, 0, 0, 0, 0})
	f.Add([]byte{recordVersion, 0, 0, 0, 4, 1, 0, 0, 'a'})
	f.Fuzz(func(t *testing.T, record []byte) {
		e, err := Parse(record)
		if err != nil {
			return
		}
		for name, value := range e.Attributes() {
			if got, ok := e.Attribute(name); !ok || got != value && utf8.ValidString(name) && strings.Count(e.attributes, name) == 1 {
				t.Errorf("%q is %q by name, and %q in the list", name, got, value)
			}
		}
		if !bytes.Equal(e.AppendTo(nil), record) {
			t.Errorf("%x becomes %x", record, e.AppendTo(nil))
		}
	})
}

func TestAllocations(t *testing.T) {
	e := example(t)
	record := e.AppendTo(nil)
	buf := make([]byte, 0, len(record))
	for name, f := range map[string]func(){
		"Attribute": func() { e.Attribute("type"); e.Attribute("nothing") },
		"Parse":     func() { _, _ = Parse(record) },
		"AppendTo":  func() { e.AppendTo(buf) },
	} {
		if n := testing.AllocsPerRun(100, f); n > 0 {
			t.Errorf("%s allocates %v times", name, n)
		}
	}
}

func example(t testing.TB) Event {
	t.Helper()
	events, err := Read(exampleHeader(), exampleData, Limits{})
	if err != nil {
		t.Fatal(err)
	}
	return events[0]
}

func exampleHeader() http.Header {
	return header("Ce-Specversion: 1.0", "Ce-Id: b5a1a2b0-7f0a-4a52-9d2a-2f2a4f6a5b11", "Ce-Source: https://example.com/orders/emea", "Ce-Type: com.example.order.created",
		"Ce-Time: 2026-11-30T04:46:26.123456Z", "Ce-Subject: order/4711", "Ce-Partitionkey: customer-17", "Ce-Traceparent: 00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
		"Content-Type: application/json", "Host: broker", "User-Agent: curl/8", "Accept: */*")
}

var exampleData = []byte(`{"text":"` + strings.Repeat("abcdefgh ", 110) + `","numbers":[1,2,3]}`) // with its attributes it is about 1 KiB

func Example() {
	h := http.Header{"Content-Type": {"application/cloudevents+json"}}
	events, err := Read(h, []byte(`{"specversion":"1.0", "id":"1", "source":"/shop", "type":"order", "subject":"order 7", "data":{"total": 9.90}}`), Limits{})
	if err != nil {
		fmt.Println(err)
		return
	}
	sink := http.Header{}
	body := events[0].WriteRequest(sink)
	fmt.Println(sink.Get("Ce-Subject"), sink.Get("Content-Type"), string(body))
	// Output: order%207 application/json {"total": 9.90}
}
