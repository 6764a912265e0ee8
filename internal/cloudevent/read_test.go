package cloudevent

import (
	"errors"
	"maps"
	"net/http"
	"strings"
	"testing"
)

func header(lines ...string) http.Header {
	h := http.Header{}
	for _, line := range lines {
		name, value, _ := strings.Cut(line, ": ")
		h.Add(name, value)
	}
	return h
}

func asMap(e *Event) map[string]string { return maps.Collect(e.Attributes()) }

// The cases of CloudEvents' conformance suite (format/json and features/http-protocol-binding), written for this test.
func TestRead(t *testing.T) {
	const (
		structured = "Content-Type: application/cloudevents+json"
		batched    = "Content-Type: application/cloudevents-batch+json; charset=utf-8"
		minimum    = `"specversion":"1.0","id":"1","source":"/s","type":"t"`
		old        = `"specversion":"0.3","id":"1","source":"/s","type":"t"`
	)
	binary := func(more ...string) http.Header {
		return header(append([]string{"Ce-Specversion: 1.0", "Ce-Id: 1", "Ce-Source: /s", "Ce-Type: t"}, more...)...)
	}
	type event struct {
		attributes string // a=x|b=y, without id, source and type, which all have; specversion is 1.0 if it isn't there
		data       string
	}
	for _, test := range []struct {
		name   string
		header http.Header
		body   string
		want   []event
		err    string // what the error has
	}{
		{name: "binary", header: binary("Content-Type: application/json"), body: "{\n \"a\": 1\n}", want: []event{{"datacontenttype=application/json", "{\n \"a\": 1\n}"}}},
		{name: "binary, parameters", header: binary("Content-Type: application/json; charset=utf-8"), want: []event{{"datacontenttype=application/json; charset=utf-8", ""}}},
		{name: "binary, no media type", header: binary(), body: "\xff\x00", want: []event{{"", "\xff\x00"}}},
		{name: "binary, all attributes", header: binary("Ce-Time: 2018-04-05T03:56:24.123+01:00", "Ce-Subject: x", "Ce-Dataschema: https://a/b", "Ce-Ext1: y"), want: []event{{"dataschema=https://a/b|ext1=y|subject=x|time=2018-04-05T03:56:24.123+01:00", ""}}},
		{name: "binary, percent-encoding", header: binary("Ce-Subject: Euro%20%E2%82%AC%20%f0%9F%98%80"), want: []event{{"subject=Euro € 😀", ""}}},
		{name: "binary, needless escapes", header: binary("Ce-Subject: %41%2D"), want: []event{{"subject=A-", ""}}},
		{name: "binary, one round of decoding", header: binary("Ce-Subject: %2541"), want: []event{{"subject=%41", ""}}},
		{name: "binary, quoted", header: binary(`Ce-Subject: "a \"b\" \\ %25"`), want: []event{{`subject=a "b" \ %`, ""}}},
		{name: "binary, not encoded", header: binary(`Ce-Subject: 100% of "ö" %z`), want: []event{{`subject=100% of "ö" %z`, ""}}},
		{name: "binary, overlong UTF-8", header: binary("Ce-Subject: %C0%A0"), err: "header ce-subject: \"%C0%A0\" is not UTF-8"},
		{name: "binary, quote not closed", header: binary(`Ce-Subject: "a`), err: "header ce-subject: "},
		{name: "binary, quote closed early", header: binary(`Ce-Subject: "a" b`), err: "header ce-subject: "},
		{name: "binary, 0.3", header: header("Ce-Specversion: 0.3", "Ce-Id: 1", "Ce-Source: /s", "Ce-Type: t", "Ce-Schemaurl: /x"), want: []event{{"schemaurl=/x|specversion=0.3", ""}}},
		{name: "binary, 0.3, encoded", header: header("Ce-Specversion: 0.3", "Ce-Id: 1", "Ce-Source: /s", "Ce-Type: t", "Ce-Datacontentencoding: base64"), body: "QQ==", err: "as it is in binary mode"},
		{name: "binary, twice", header: binary("Ce-Ext: 1", "Ce-Ext: 2"), err: "header ce-ext: is there 2 times"},
		{name: "binary, two spellings", header: http.Header{"Ce-Specversion": {"1.0"}, "Ce-Id": {"1"}, "ce-id": {"2"}, "Ce-Source": {"/s"}, "Ce-Type": {"t"}}, err: "header ce-id: is there twice"},
		{name: "binary, two media types", header: binary("Content-Type: a/b", "Content-Type: a/b"), err: "more than one field Content-Type"},
		{name: "binary, ce-datacontenttype", header: binary("Ce-Datacontenttype: a/b"), err: "belongs into Content-Type"},
		{name: "binary, ce-data", header: binary("Ce-Data: a"), err: "header ce-data: data is no name"},
		{name: "binary, name", header: binary("Ce-My-Ext: a"), err: "header ce-my-ext: the name"},
		{name: "binary, no name", header: binary("Ce-: a"), err: "header ce-: the name"},
		{name: "binary, long name", header: binary("Ce-" + strings.Repeat("a", 256) + ": a"), err: "has 1 to 255 characters"},
		{name: "binary, media type", header: binary("Content-Type: xyz"), err: "header Content-Type: \"xyz\" is no media type"},
		{name: "binary, media type beyond ASCII", header: binary(`Content-Type: a/b; c="ü"`), err: "is no media type"},
		{name: "binary, not a version", header: header("Ce-Specversion: 0.9", "Ce-Id: 1"), err: `header ce-specversion: "0.9"`},
		{name: "binary, no version", header: header("Ce-Id: 1"), err: "header ce-specversion: is missing"},
		{name: "binary, no id", header: header("Ce-Specversion: 1.0", "Ce-Source: /s", "Ce-Type: t"), err: "header ce-id: is missing"},
		{name: "binary, empty id", header: header("Ce-Specversion: 1.0", "Ce-Id: ", "Ce-Source: /s", "Ce-Type: t"), err: "header ce-id: is empty"},
		{name: "binary, source", header: header("Ce-Specversion: 1.0", "Ce-Id: 1", "Ce-Source: http://[", "Ce-Type: t"), err: "header ce-source: \"http://[\" is no URI"},
		{name: "no event", header: header("Content-Type: application/json"), body: "{}", err: "neither headers ce-*"},
		{name: "long", header: binary("Ce-Ext: " + strings.Repeat("x", 65536)), err: ErrTooLarge.Error()},

		{name: "minimal", header: header(structured), body: `{` + minimum + `}`, want: []event{{}}},
		{name: "whitespace", header: header("Content-Type: Application/CloudEvents+JSON ; charset=UTF-8"), body: " {\n" + strings.ReplaceAll(minimum, ",", " ,\n\t") + "\r\n} ", want: []event{{}}},
		{name: "null for what is optional", header: header(structured), body: `{` + minimum + `,"subject":null,"time":null,"dataschema":null,"datacontenttype":null,"ext":null}`, want: []event{{}}},
		{name: "all attributes", header: header(structured), body: `{` + minimum + `,"subject":"x","time":"2018-04-05T17:31:00Z","dataschema":"https://a/b","datacontenttype":"text/plain"}`, want: []event{{"dataschema=https://a/b|datacontenttype=text/plain|subject=x|time=2018-04-05T17:31:00Z", ""}}},
		{name: "times", header: header(batched), body: `[{` + minimum + `,"time":"2018-04-05T17:31:00.000000000Z"},{` + minimum + `,"time":"2018-04-05T16:31:00-01:00"}]`, want: []event{{"time=2018-04-05T17:31:00.000000000Z", ""}, {"time=2018-04-05T16:31:00-01:00", ""}}},
		{name: "relative source", header: header(structured), body: `{"specversion":"1.0","id":"1","source":"#fragment","type":"t"}`, want: []event{{"source=#fragment", ""}}},
		{name: "types", header: header(structured), body: `{` + minimum + `,"extint":-10,"extbool":true,"extbinary":"TWE=","extstring":"ü€\u00fc\ud83d\ude00\"\\ufffd"}`, want: []event{{`extbinary=TWE=|extbool=true|extint=-10|extstring=ü€ü😀"\ufffd`, ""}}},
		{name: "text", header: header(structured), body: `{` + minimum + `,"datacontenttype":"text/plain","data":"a\n\"b\" \u00fc"}`, want: []event{{"datacontenttype=text/plain", "a\n\"b\" ü"}}},
		{name: "JSON data as it stands", header: header(structured), body: `{` + minimum + `,"datacontenttype":"application/x+json","data":{ "b":1.0, "a":"\u00fc]}" ,"b":[1e3 ]}}`, want: []event{{"datacontenttype=application/x+json", `{ "b":1.0, "a":"\u00fc]}" ,"b":[1e3 ]}`}}},
		{name: "JSON string", header: header(structured), body: `{"data" : "I'm \"just\" a string" , ` + minimum + `}`, want: []event{{"datacontenttype=application/json", `"I'm \"just\" a string"`}}},
		{name: "JSON scalars", header: header(batched), body: `[{"data":-1.5e3,` + minimum + `},{` + minimum + `,"data":true},{` + minimum + `,"data":null}]`, want: []event{{"datacontenttype=application/json", `-1.5e3`}, {"datacontenttype=application/json", `true`}, {"datacontenttype=application/json", `null`}}},
		{name: "base64", header: header(structured), body: `{` + minimum + `,"datacontenttype":"application/octet-stream","data_base64":"AP8\u003d"}`, want: []event{{"datacontenttype=application/octet-stream", "\x00\xff"}}},
		{name: "base64, no media type", header: header(structured), body: `{` + minimum + `,"data":null,"data_base64":"AP8="}`, want: []event{{"", "\x00\xff"}}},
		{name: "no text", header: header(structured), body: `{` + minimum + `,"datacontenttype":"text/plain","data":null}`, want: []event{{"datacontenttype=text/plain", ""}}},
		{name: "0.3", header: header(structured), body: `{` + old + `,"schemaurl":"/x","datacontenttype":"application/json","data":{"a": 1}}`, want: []event{{"datacontenttype=application/json|schemaurl=/x|specversion=0.3", `{"a": 1}`}}},
		{name: "0.3, base64", header: header(structured), body: `{` + old + `,"data":"AP8=","datacontentencoding":"base64"}`, want: []event{{"specversion=0.3", "\x00\xff"}}},
		{name: "0.3, encoding", header: header(structured), body: `{` + old + `,"data":"x","datacontentencoding":"zip"}`, err: `member "datacontentencoding": "zip"`},
		{name: "0.3, data_base64", header: header(structured), body: `{` + old + `,"data_base64":"QQ=="}`, err: `"data_base64": is of version 1.0`},
		{name: "no JSON", header: header(structured), body: `{` + minimum, err: "no JSON: unexpected end"},
		{name: "empty", header: header(structured), err: "no JSON"},
		{name: "two values", header: header(structured), body: `{` + minimum + `} {}`, err: "no JSON"},
		{name: "no object", header: header(structured), body: `"x"`, err: "no JSON object"},
		{name: "not UTF-8", header: header(structured), body: `{` + minimum + `,"data":"` + "\xff" + `"}`, err: "not UTF-8"},
		{name: "half a character", header: header(structured), body: `{` + minimum + `,"ext":"\ud83d\u0041"}`, err: "half of a surrogate pair"},
		{name: "the other half", header: header(structured), body: `{` + minimum + `,"datacontenttype":"text/plain","data":"\\\ude00"}`, err: "half of a surrogate pair"},
		{name: "no version", header: header(structured), body: `{"id":"1","source":"/s","type":"t"}`, err: `member "specversion": is missing`},
		{name: "empty version", header: header(structured), body: `{"specversion":"","id":"1","source":"/s","type":"t"}`, err: `member "specversion": is missing or empty`},
		{name: "unknown version", header: header(structured), body: `{"specversion":"0.9","id":"1","source":"/s","type":"t"}`, err: `"0.9"`},
		{name: "no id", header: header(structured), body: `{"specversion":"1.0","source":"/s","type":"t"}`, err: `member "id": is missing`},
		{name: "no source", header: header(structured), body: `{"specversion":"1.0","id":"1","type":"t"}`, err: `member "source": is missing`},
		{name: "no type", header: header(structured), body: `{"specversion":"1.0","id":"1","source":"/s"}`, err: `member "type": is missing`},
		{name: "null id", header: header(structured), body: `{"specversion":"1.0","id":null,"source":"/s","type":"t"}`, err: `member "id": is missing`},
		{name: "empty type", header: header(structured), body: `{"specversion":"1.0","id":"1","source":"/s","type":""}`, err: `member "type": is empty`},
		{name: "empty source", header: header(structured), body: `{"specversion":"1.0","id":"1","source":"","type":"t"}`, err: `member "source": is empty`},
		{name: "number for id", header: header(structured), body: `{"specversion":"1.0","id":25,"source":"/s","type":"t"}`, err: `member "id": is no JSON string`},
		{name: "object for id", header: header(structured), body: `{"specversion":"1.0","id":{"x":"y"},"source":"/s","type":"t"}`, err: `member "id": is no JSON string`},
		{name: "time, words", header: header(structured), body: `{` + minimum + `,"time":"lunchtime"}`, err: `"lunchtime" is no time`},
		{name: "time, minutes", header: header(structured), body: `{` + minimum + `,"time":"2018-04-05T18:31Z"}`, err: "is no time"},
		{name: "time, X", header: header(structured), body: `{` + minimum + `,"time":"2018-04-05T18:31:00X"}`, err: "is no time"},
		{name: "time, offset", header: header(structured), body: `{` + minimum + `,"time":"2018-04-05T18:31:00+25:00"}`, err: "is no time"},
		{name: "time, offset in words", header: header(structured), body: `{` + minimum + `,"time":"2018-04-05T18:31:00+xx:00"}`, err: "is no time"},
		{name: "time, offset in hours", header: header(structured), body: `{` + minimum + `,"time":"2018-04-05T18:31:00+05"}`, err: "is no time"},
		{name: "time, comma", header: header(structured), body: `{` + minimum + `,"time":"2018-04-05T18:31:00,5Z"}`, err: "is no time"},
		{name: "time, one digit", header: header(structured), body: `{` + minimum + `,"time":"2018-04-05T8:31:00Z"}`, err: "is no time"},
		{name: "media type", header: header(structured), body: `{` + minimum + `,"datacontenttype":"xyz"}`, err: `"xyz" is no media type`},
		{name: "event in an event", header: header(structured), body: `{` + minimum + `,"datacontenttype":"Application/CloudEvents+json","data":{}}`, err: "take the data for the event"},
		{name: "empty media type", header: header(structured), body: `{` + minimum + `,"datacontenttype":""}`, err: "is no media type"},
		{name: "empty schema", header: header(structured), body: `{` + minimum + `,"dataschema":""}`, err: `member "dataschema": is empty`},
		{name: "relative schema", header: header(structured), body: `{` + minimum + `,"dataschema":"/x"}`, err: "no absolute URI"},
		{name: "empty subject", header: header(structured), body: `{` + minimum + `,"subject":""}`, err: `member "subject": is empty`},
		{name: "capitals", header: header(structured), body: `{` + minimum + `,"MyExtension":"bad"}`, err: `member "MyExtension": the name`},
		{name: "punctuation", header: header(structured), body: `{` + minimum + `,"my.extension":"bad"}`, err: `member "my.extension": the name`},
		{name: "no name", header: header(structured), body: `{` + minimum + `,"":null}`, err: `member "": the name`},
		{name: "no integer", header: header(structured), body: `{` + minimum + `,"ext":1.5}`, err: `"1.5" is no integer`},
		{name: "large integer", header: header(structured), body: `{` + minimum + `,"ext":2147483648}`, err: "is no integer of 32 bits"},
		{name: "array", header: header(structured), body: `{` + minimum + `,"ext":[1]}`, err: "an object or an array"},
		{name: "control character", header: header(structured), body: `{` + minimum + `,"ext":"a\u0007"}`, err: "control character, U+0007, at byte 1"},
		{name: "C1", header: header(structured), body: `{` + minimum + `,"ext":"\u0085"}`, err: "control character"},
		{name: "no character", header: header(structured), body: `{` + minimum + `,"ext":"\ufdd0"}`, err: "U+FDD0, which is no character"},
		{name: "no character in another plane", header: header(structured), body: `{` + minimum + `,"ext":"\ud83f\udfff"}`, err: "U+1FFFF, which is no character"},
		{name: "data twice", header: header(structured), body: `{` + minimum + `,"data":1,"data":2}`, err: `member "data": is there twice`},
		{name: "data in two forms", header: header(structured), body: `{` + minimum + `,"data":"text","data_base64":"QQ=="}`, err: "has one of them"},
		{name: "attribute twice", header: header(structured), body: `{` + minimum + `,"ext":null,"ext":"x"}`, err: `member "ext": is there twice`},
		{name: "base64, not encoded", header: header(structured), body: `{` + minimum + `,"data_base64":"?"}`, err: "illegal base64"},
		{name: "base64, no string", header: header(structured), body: `{` + minimum + `,"data_base64":1}`, err: "is a JSON string"},
		{name: "text, no string", header: header(structured), body: `{` + minimum + `,"datacontenttype":"text/plain","data":{}}`, err: `data of type "text/plain" is a JSON string`},
		{name: "many", header: header(structured), body: `{` + minimum + strings.Repeat(`,"a":1,"b":1`, 200) + `}`, err: "is there twice"},

		{name: "batch, empty", header: header(batched), body: `[]`},
		{name: "batch", header: header(batched), body: `[ {` + minimum + `,"a":1} , {` + minimum + `,"b":"x","data":[{}]}]`, want: []event{{"a=1", ""}, {"b=x|datacontenttype=application/json", "[{}]"}}},
		{name: "batch, versions", header: header(batched), body: `[{` + minimum + `},{` + old + `}]`, err: "event 1 of the batch: has specversion 0.3"},
		{name: "batch, unknown version", header: header(batched), body: `[{` + minimum + `},{"specversion":"0.9","id":"1","source":"/s","type":"t"}]`, err: "event 1 of the batch"},
		{name: "batch, no id", header: header(batched), body: `[{"specversion":"1.0","source":"/s","type":"t"}]`, err: `event 0 of the batch: member "id"`},
		{name: "batch, no object", header: header(batched), body: `["x",{` + minimum + `}]`, err: "event 0 of the batch: \"\\\"x\\\"\" is no JSON object"},
		{name: "batch, no array", header: header(batched), body: `{` + minimum + `}`, err: "no JSON array"},

		{name: "another format", header: header("Content-Type: application/cloudevents+avro"), err: ErrMediaType.Error()},
		{name: "another batch", header: header("Content-Type: application/cloudevents-batch+protobuf"), err: ErrMediaType.Error()},
	} {
		t.Run(test.name, func(t *testing.T) {
			got, err := Read(test.header, []byte(test.body), Limits{})
			if test.err != "" {
				if err == nil || !strings.Contains(err.Error(), test.err) {
					t.Fatalf("error %v, want one with %q", err, test.err)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			if len(got) != len(test.want) {
				t.Fatalf("%d events, want %d", len(got), len(test.want))
			}
			for i, e := range got {
				want := map[string]string{"specversion": "1.0", "id": "1", "source": "/s", "type": "t"}
				for attribute := range strings.SplitSeq(test.want[i].attributes, "|") {
					if name, value, ok := strings.Cut(attribute, "="); ok {
						want[name] = value
					}
				}
				if !maps.Equal(asMap(&e), want) {
					t.Errorf("attributes %v, want %v", asMap(&e), want)
				}
				if string(e.Data()) != test.want[i].data {
					t.Errorf("data %q, want %q", e.Data(), test.want[i].data)
				}
			}
		})
	}
}

func TestErrorsOfRead(t *testing.T) {
	minimum := header("Ce-Specversion: 1.0", "Ce-Id: 1", "Ce-Source: /s", "Ce-Type: t")
	for _, test := range []struct {
		header http.Header
		body   string
		limits Limits
		want   error
	}{
		{header("Content-Type: application/cloudevents+avro"), "", Limits{}, ErrMediaType},
		{header("Content-Type: text/plain"), "OK", Limits{}, ErrNoEvent},
		{http.Header{}, "", Limits{}, ErrNoEvent},
		{minimum, "", Limits{Attributes: 3}, ErrTooLarge},
		{minimum, "", Limits{AttributeBytes: 29}, ErrTooLarge},
		{minimum, "", Limits{Attributes: 4, AttributeBytes: 30}, nil},
		{header("Content-Type: application/cloudevents+json"), `{"a":1,"b":2,"c":3,"d":4,"data":5,"data_base64":6,"e":7}`, Limits{Attributes: 4}, ErrTooLarge},
	} {
		if _, err := Read(test.header, []byte(test.body), test.limits); !errors.Is(err, test.want) {
			t.Errorf("%v %s: %v, want %v", test.header, test.body, err, test.want)
		}
	}
}

func TestStatusOf(t *testing.T) {
	for _, c := range []struct {
		kind, body string
		limits     Limits
		want       int
	}{
		{"application/cloudevents+xml", "", Limits{}, http.StatusUnsupportedMediaType},
		{"application/cloudevents+json", `{"specversion": "1.0", "id": "1", "source": "s", "type": "t"}`, Limits{AttributeBytes: 8}, http.StatusRequestEntityTooLarge},
		{"application/cloudevents+json", "no JSON", Limits{}, http.StatusBadRequest},
	} {
		_, err := Read(http.Header{"Content-Type": {c.kind}}, []byte(c.body), c.limits)
		if got := StatusOf(err); err == nil || got != c.want {
			t.Errorf("%s: %v, status %d, want %d", c.kind, err, got, c.want)
		}
	}
}
