package standalone

import (
	"fmt"

	"github.com/sluice-proxy/sluice/internal/standalone/kubeapi/store"
	"github.com/sluice-proxy/sluice/internal/standalone/manifest"
	"github.com/sluice-proxy/sluice/internal/standalone/objects"
	"github.com/sluice-proxy/sluice/internal/standalone/ping"
)

// pinger sends the events of a PingSource.
type pinger struct {
	*ping.Pinger
	source *manifest.Eventing
	sink   string
}

// reconcilePingers starts and stops what sends the events of PingSources, as these and their sinks are now.
func (s *Server) reconcilePingers() {
	for key, p := range s.pingers {
		e := s.declared.eventing[key]
		if e != p.source || s.declared.resolve(e.Namespace, &e.PingSource.Sink).URI != p.sink {
			s.endPinger(key)
		}
	}
	for key, e := range s.declared.eventing {
		if e.PingSource == nil || s.pingers[key] != nil {
			continue
		}
		sink := s.declared.resolve(e.Namespace, &e.PingSource.Sink)
		if sink.URI == "" {
			continue
		}
		s.pingers[key] = &pinger{s.startPinger(e, sink.URI), e, sink.URI}
	}
}

func (s *Server) startPinger(e *manifest.Eventing, sink string) *ping.Pinger {
	source := e.PingSource
	event := ping.Event{
		Type: objects.PingType, Source: objects.PingSourceOf(e.Namespace, e.Name), ContentType: source.ContentType, Data: source.Data,
	}
	if source.Overrides != nil {
		event.Extensions = source.Overrides.Extensions
	}
	return ping.Start(ping.Config{
		Event: event, Schedule: source.Schedule, Sink: sink, Client: s.sender, NewID: func() string { return string(store.NewUID()) },
		Failed: func(err error) {
			s.config.Screen.Line(fmt.Sprintf("sluice: PingSource %s: an event is lost: %v", e.Name, err))
		},
	})
}

// endPinger stops one in the background: it may be in the middle of a request.
func (s *Server) endPinger(key manifest.EventingKey) {
	s.tasks.Go(s.pingers[key].Stop)
	delete(s.pingers, key)
}

func (s *Server) endPingers() {
	for key := range s.pingers {
		s.endPinger(key)
	}
}
