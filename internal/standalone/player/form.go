package player

import (
	"cmp"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"net/url"
	"strings"

	"github.com/sluice-proxy/sluice/internal/cloudevent"
)

// form is the page's form.
type form struct {
	id, kind, source, subject string
	extensions                [][2]string // names and values
	data                      string      // JSON
	message                   string      // to its user
	bad                       bool        // message is an error
}

// blank is the form of a new page.
func blank() form {
	return form{id: rand.Text(), source: "cloudevents-player", data: `{"message": "hello"}`}
}

// formOf reads the fields of a request.
func formOf(v url.Values) form {
	f := form{
		id: v.Get("id"), kind: v.Get("type"), source: v.Get("source"), subject: v.Get("subject"),
		data: strings.ReplaceAll(v.Get("data"), "\r\n", "\n"), // HTML sends a newline as both
	}
	for i, name := range v["extension"] {
		if values := v["value"]; name != "" && i < len(values) {
			f.extensions = append(f.extensions, [2]string{name, values[i]})
		}
	}
	return f
}

// event makes an event of the fields.
func (f *form) event() (cloudevent.Event, error) {
	attributes := map[string]string{"specversion": "1.0", "id": f.id, "type": f.kind, "source": f.source}
	if f.subject != "" {
		attributes["subject"] = f.subject
	}
	for _, x := range f.extensions {
		if _, taken := attributes[x[0]]; taken {
			return cloudevent.Event{}, fmt.Errorf("extension %q: the event has such an attribute already", x[0])
		}
		attributes[x[0]] = x[1]
	}
	if f.data != "" {
		if !json.Valid([]byte(f.data)) {
			return cloudevent.Event{}, errors.New("data should be JSON: quote a text, \"like this\"")
		}
		attributes["datacontenttype"] = cmp.Or(attributes["datacontenttype"], "application/json")
	}
	return cloudevent.New(attributes, []byte(f.data))
}

// write writes the form. The first of its buttons is the one that the Enter key presses.
func (f *form) write(m *markup) {
	m.add(`<form method="post" action="send">
<label>Event ID <input name="id" value="%s"></label>
<label>Event type <input name="type" value="%s" placeholder="com.example.order"></label>
<label>Event source <input name="source" value="%s"></label>
<label>Subject <input name="subject" value="%s"></label>
<label>Specversion <input value="1.0" disabled></label>
`, f.id, f.kind, f.source, f.subject)
	for _, x := range append(f.extensions, [2]string{}) {
		m.add(`<label>Extension <span><input name="extension" value="%s" placeholder="name"><input name="value" value="%s" placeholder="value"></span></label>
`, x[0], x[1])
	}
	m.add(`<label>Data <textarea name="data" rows="5">
%s</textarea></label>
<p><button name="do" value="send">Send event</button> <button name="do" value="loop">New ID</button> <button name="do" value="clear">Clear activity</button></p>
`, f.data)
	if f.message != "" {
		class := "done"
		if f.bad {
			class = "bad"
		}
		m.add(`<p class="%s" role="status">%s</p>
`, class, f.message)
	}
	m.add("</form>\n")
}
