package player

import (
	"io"
	"net/http"
	"strings"
	"time"
)

// beat is how often a stream without events says something, so that neither side takes the other for dead.
const beat = 15 * time.Second

// stream sends entries as Server-Sent Events, each with the place after it: those after the place that the page has, or that a browser
// has reached when it comes again.
// https://html.spec.whatwg.org/multipage/server-sent-events.html
func (s *server) stream(w http.ResponseWriter, r *http.Request) {
	defer s.readers.Add(-1)
	if s.readers.Add(1) > mostReaders {
		http.Error(w, "too many pages are open: close some", http.StatusServiceUnavailable)
		return
	}
	place := r.Header.Get("Last-Event-ID")
	if place == "" {
		place = r.FormValue("place")
	}
	h := w.Header()
	h.Set("Content-Type", "text/event-stream")
	h.Set("Connection", "close") // the connection keeps the deadline of the last write
	control := http.NewResponseController(w)
	tick := time.NewTicker(beat)
	defer tick.Stop()
	for text := ":\n\n"; ; {
		b := s.feed.after(place)
		text += s.messages(b)
		place = b.place
		if control.SetWriteDeadline(time.Now().Add(s.stalled)) != nil {
			return
		}
		if _, err := io.WriteString(w, text); err != nil || control.Flush() != nil {
			return
		}
		text = ""
		select {
		case <-b.changed:
		case <-tick.C:
			text = ":\n\n"
		case <-r.Context().Done():
			return
		case <-s.ended:
			return
		}
	}
}

// messages returns a batch as messages: one of the type list that has the whole list, or one for each entry.
func (s *server) messages(b batch) string {
	var all strings.Builder
	message := func(place string, m *markup) {
		all.WriteString("id: " + place + "\n")
		for line := range strings.SplitSeq(m.String(), "\n") { // escape leaves no other ends of lines
			all.WriteString("data: " + line + "\n")
		}
		all.WriteString("\n")
	}
	if b.whole {
		var m markup
		s.writeAll(&m, b.entries)
		all.WriteString("event: list\n")
		message(b.place, &m)
		return all.String()
	}
	for _, e := range b.entries {
		var m markup
		s.write(&m, e)
		message(s.feed.place(e.number), &m)
	}
	return all.String()
}
