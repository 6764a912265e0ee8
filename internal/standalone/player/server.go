package player

import (
	"cmp"
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"
	"time"

	"github.com/sluice-proxy/sluice/internal/cloudevent"
	"github.com/sluice-proxy/sluice/internal/knative"
)

const (
	mostBody    = 1 << 20 // bytes of a request with events
	mostForm    = 4 << 20 // bytes of a form, which has up to three for one of its data
	mostReaders = 64      // of /events
	sendTimeout = 30 * time.Second
)

// server is the app. Make one with newServer.
type server struct {
	config  config
	feed    *feed
	client  http.Client
	ended   <-chan struct{} // closed when streams are to end
	readers atomic.Int64
	stalled time.Duration // how long a write to a reader may take
}

func newServer(c config, ended <-chan struct{}) *server {
	return &server{
		config: c, feed: newFeed(), ended: ended, stalled: 10 * time.Second,
		client: http.Client{Timeout: sendTimeout, Transport: &http.Transport{Proxy: http.ProxyFromEnvironment, IdleConnTimeout: time.Minute}},
	}
}

// handler returns the server's handler. Pages of other sites can't post to it.
func (s *server) handler() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /{$}", func(w http.ResponseWriter, _ *http.Request) { s.answer(w, http.StatusOK, blank()) })
	mux.HandleFunc("POST /{$}", s.receive)
	mux.HandleFunc("GET /send", func(w http.ResponseWriter, r *http.Request) { http.Redirect(w, r, "/", http.StatusSeeOther) })
	mux.HandleFunc("POST /send", s.submit)
	mux.HandleFunc("GET /messages", s.list)
	mux.HandleFunc("POST /messages", s.relay)
	mux.HandleFunc("DELETE /messages", func(w http.ResponseWriter, _ *http.Request) { s.feed.clear(); w.WriteHeader(http.StatusAccepted) })
	mux.HandleFunc("GET /events", s.stream)
	mux.HandleFunc("GET /player.js", file("text/javascript; charset=utf-8", script))
	mux.HandleFunc("GET /player.css", file("text/css; charset=utf-8", style))
	own := http.NewCrossOriginProtection().Handler(mux)
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		h := w.Header()
		h.Set("Content-Security-Policy", policy)
		h.Set("X-Content-Type-Options", "nosniff")
		h.Set("Referrer-Policy", "no-referrer")
		h.Set("Cache-Control", "no-store")
		own.ServeHTTP(w, r)
	})
}

func file(kind string, content []byte) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", kind)
		_, _ = w.Write(content)
	}
}

// answer writes the page.
func (s *server) answer(w http.ResponseWriter, status int, f form) {
	w.Header().Set("Content-Type", "text/html; charset=utf-8")
	w.WriteHeader(status)
	_, _ = io.WriteString(w, s.page(f))
}

// read returns the events of a request. If it has none that are good, the request is answered, and ok is false.
func read(w http.ResponseWriter, r *http.Request) (events []cloudevent.Event, ok bool) {
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, mostBody))
	if err == nil {
		events, err = cloudevent.Read(r.Header, body, cloudevent.Limits{})
	}
	if err == nil {
		return events, true
	}
	status := cloudevent.StatusOf(err)
	if _, large := errors.AsType[*http.MaxBytesError](err); large {
		status = http.StatusRequestEntityTooLarge
	}
	http.Error(w, err.Error(), status)
	return nil, false
}

// receive takes events from a trigger.
func (s *server) receive(w http.ResponseWriter, r *http.Request) {
	events, ok := read(w, r)
	if !ok {
		return
	}
	epoch := r.Header.Get(knative.HeaderKeyEpoch)
	if _, err := strconv.ParseInt(epoch, 10, 64); err != nil {
		epoch = ""
	}
	for _, e := range events {
		s.feed.add(entry{kind: received, event: e, epoch: epoch})
	}
	if s.config.reply == "" || len(events) != 1 {
		w.WriteHeader(http.StatusAccepted)
		return
	}
	answer, err := s.replyTo(&events[0], epoch)
	if err != nil {
		http.Error(w, err.Error(), http.StatusInternalServerError)
		return
	}
	s.feed.add(entry{kind: sent, event: answer})
	body := answer.WriteRequest(w.Header())
	_, _ = w.Write(body)
}

// replyTo returns an event that says which replica has received e.
func (s *server) replyTo(e *cloudevent.Event, epoch string) (cloudevent.Event, error) {
	attributes := map[string]string{"specversion": "1.0", "id": rand.Text(), "type": s.config.reply, "source": "/cloudevents-player"}
	for _, name := range []string{"subject", "datacontenttype"} {
		if value, ok := e.Attribute(name); ok {
			attributes[name] = value
		}
	}
	for name, value := range map[string]string{"instance": s.config.instance, "keyepoch": epoch} {
		if value != "" {
			attributes[name] = value
		}
	}
	answer, err := cloudevent.New(attributes, e.Data())
	if err != nil {
		return answer, fmt.Errorf("PLAYER_REPLY, %q: %w", s.config.reply, err)
	}
	return answer, nil
}

// submit takes the page's form. Its response is the page again, so that the fields stay as they are.
func (s *server) submit(w http.ResponseWriter, r *http.Request) {
	r.Body = http.MaxBytesReader(w, r.Body, mostForm)
	if err := r.ParseForm(); err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	f := formOf(r.PostForm)
	switch r.PostForm.Get("do") {
	case "loop":
		f.id = rand.Text()
	case "clear":
		s.feed.clear()
	default:
		event, err := f.event()
		if err != nil {
			f.message, f.bad = err.Error(), true
			s.answer(w, http.StatusBadRequest, f)
			return
		}
		if err := s.send(r.Context(), event); err != nil {
			f.message, f.bad = err.Error(), true
			s.answer(w, http.StatusBadGateway, f)
			return
		}
		f.message, f.id = "sent "+f.id, rand.Text()
	}
	s.answer(w, http.StatusOK, f)
}

// relay sends the events of a request.
func (s *server) relay(w http.ResponseWriter, r *http.Request) {
	events, ok := read(w, r)
	for _, e := range events {
		if err := s.send(r.Context(), e); err != nil {
			http.Error(w, err.Error(), http.StatusBadGateway)
			return
		}
	}
	if ok {
		w.WriteHeader(http.StatusAccepted)
	}
}

// send sends an event to the broker, and adds it to the feed with what became of it.
func (s *server) send(ctx context.Context, e cloudevent.Event) error {
	for name, value := range s.config.extensions {
		if err := e.Set(name, value); err != nil {
			return fmt.Errorf("%s: %w", knative.EnvOverrides, err)
		}
	}
	err := s.post(ctx, &e)
	if err != nil {
		s.feed.add(entry{kind: failed, event: e, reason: err.Error()})
		return err
	}
	s.feed.add(entry{kind: sent, event: e})
	return nil
}

func (s *server) post(ctx context.Context, e *cloudevent.Event) error {
	req, err := e.NewRequest(ctx, s.config.broker)
	if err != nil {
		return err
	}
	resp, err := s.client.Do(req)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	text, _ := io.ReadAll(io.LimitReader(resp.Body, 1<<10))
	if resp.StatusCode/100 != 2 {
		return fmt.Errorf("%s: %s: %s", s.config.broker, resp.Status, strings.TrimSpace(string(text)))
	}
	return nil
}

// message is an entry as JSON, with the original player's members and two more, instance and keyEpoch.
type message struct {
	ID         string            `json:"id"`
	Type       kind              `json:"type"`
	ReceivedAt time.Time         `json:"receivedAt"`
	EventType  string            `json:"eventType"`
	Source     string            `json:"source"`
	Subject    string            `json:"subject,omitempty"`
	Extensions map[string]string `json:"extensions"`
	Data       any               `json:"data,omitempty"`
	Instance   string            `json:"instance,omitempty"`
	KeyEpoch   string            `json:"keyEpoch,omitempty"`
}

// list answers with the feed as JSON, newest first.
func (s *server) list(w http.ResponseWriter, r *http.Request) {
	number := func(name, fallback string) (int, error) {
		text := cmp.Or(r.FormValue(name), fallback)
		n, err := strconv.Atoi(text)
		if err != nil || n < 0 || n > mostEntries {
			return 0, fmt.Errorf("%s should be from 0 to %d, is %q", name, mostEntries, text)
		}
		return n, nil
	}
	page, err := number("page", "0")
	size, bad := number("size", "10")
	if err := errors.Join(err, bad); err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	entries := s.feed.after("").entries
	slices.Reverse(entries)
	all := []message{}
	for i := page * size; i < min((page+1)*size, len(entries)); i++ {
		all = append(all, s.message(&entries[i]))
	}
	w.Header().Set("Content-Type", "application/json")
	_ = json.NewEncoder(w).Encode(all)
}

func (s *server) message(e *entry) message {
	m := message{Type: e.kind, ReceivedAt: e.at, Extensions: map[string]string{}, KeyEpoch: e.epoch}
	if e.kind == received {
		m.Instance = s.config.instance
	}
	for name, value := range e.event.Attributes() {
		switch name {
		case "id":
			m.ID = value
		case "type":
			m.EventType = value
		case "source":
			m.Source = value
		case "subject":
			m.Subject = value
		case "specversion", "datacontenttype", "dataschema", "time":
		default:
			m.Extensions[name] = value
		}
	}
	switch data := e.event.Data(); {
	case json.Valid(data):
		m.Data = json.RawMessage(data)
	case len(data) > 0:
		m.Data = string(data)
	}
	return m
}
