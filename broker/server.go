package broker

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
)

// ErrClosed is returned for a Server that was closed.
var ErrClosed = errors.New("the broker's server is closed")

// Server runs brokers with their triggers.
type Server struct {
	config  Config
	metrics *metrics
	sender  sender
	own     *http.Transport // nil: Config has one
	buffers buffers
	bodies  atomic.Int64 // bytes of bodies that are being read or stored

	changing sync.Mutex // held while something is set or deleted, which takes time

	mu       sync.RWMutex
	closed   bool
	streams  map[ID]*stream
	triggers map[ID]Trigger
}

// deleted is how names begin of what is being deleted.
const deleted = ".deleted-"

// Open makes a Server. What its directory knows of brokers and triggers waits for SetBroker and SetTrigger; events are neither taken nor
// delivered, nor deleted, before.
func Open(c Config) (*Server, error) {
	if err := c.Validate(); err != nil {
		return nil, err
	}
	var own *http.Transport
	if c.Transport == nil {
		own = NewTransport()
		c.Transport = own
	}
	c = c.withDefaults()
	s := &Server{config: c, own: own, sender: sender{transport: c.Transport, maxReply: c.MaxEventBytes}, streams: map[ID]*stream{}, triggers: map[ID]Trigger{}}
	m, err := newMetrics(c.Registerer, s)
	if err != nil {
		return nil, err
	}
	s.metrics = m
	return s, nil
}

func (s *Server) dirOf(id ID) string { return filepath.Join(s.config.Dir, id.Namespace, id.Name) }

// SetBroker makes a broker, continues one that the directory knows, or changes one. It returns when the broker takes events.
func (s *Server) SetBroker(b Broker) error {
	if err := b.Validate(); err != nil {
		return err
	}
	s.changing.Lock()
	defer s.changing.Unlock()
	st, err := s.stream(b.ID)
	switch {
	case err != nil:
		return err
	case st != nil:
		return st.setBroker(b)
	}
	if st, err = s.openStream(b); err != nil {
		return fmt.Errorf("broker %v: %w", b.ID, err)
	}
	for _, t := range s.triggersOf(b.ID) {
		if err := st.set(t); err != nil {
			return errors.Join(err, st.end(0))
		}
	}
	s.mu.Lock()
	s.streams[b.ID] = st
	s.mu.Unlock()
	return nil
}

// DeleteBroker ends a broker and deletes its events. Its triggers stay set; if the broker is set again, they begin with its new events. It
// cancels the deliveries in flight.
func (s *Server) DeleteBroker(id ID) error {
	s.changing.Lock()
	defer s.changing.Unlock()
	st, err := s.stream(id)
	if err != nil || st == nil {
		return err
	}
	s.mu.Lock()
	delete(s.streams, id)
	s.mu.Unlock()
	err = st.end(0)
	s.metrics.forgetBroker(id)
	return errors.Join(err, s.deleteDir(s.dirOf(id)))
}

// deleteDir renames a directory first, so that no part of it is taken for a broker.
func (s *Server) deleteDir(dir string) error {
	to, err := os.MkdirTemp(s.config.Dir, deleted)
	if err != nil {
		return err
	}
	return errors.Join(os.Rename(dir, filepath.Join(to, "broker")), os.RemoveAll(to))
}

// SetTrigger makes a trigger, continues one that the directory knows, or changes one. A new one gets the events that come after SetTrigger has
// returned. Its broker may be set later.
func (s *Server) SetTrigger(t Trigger) error {
	if err := t.Validate(); err != nil {
		return err
	}
	s.changing.Lock()
	defer s.changing.Unlock()
	s.mu.RLock()
	old, exists := s.triggers[t.ID]
	s.mu.RUnlock()
	if exists && old.Broker != t.Broker {
		if err := s.deleteTrigger(t.ID); err != nil {
			return err
		}
	}
	st, err := s.stream(ID{t.Namespace, t.Broker})
	if err != nil {
		return err
	}
	if st != nil {
		if err := st.set(t); err != nil {
			return err
		}
	}
	s.mu.Lock()
	s.triggers[t.ID] = t
	s.mu.Unlock()
	return nil
}

// DeleteTrigger ends a trigger and forgets its place. It cancels the deliveries in flight.
func (s *Server) DeleteTrigger(id ID) error {
	s.changing.Lock()
	defer s.changing.Unlock()
	return s.deleteTrigger(id)
}

func (s *Server) deleteTrigger(id ID) error {
	s.mu.Lock()
	t, exists := s.triggers[id]
	delete(s.triggers, id)
	st, closed := s.streams[ID{id.Namespace, t.Broker}], s.closed
	s.mu.Unlock()
	switch {
	case closed:
		return ErrClosed
	case !exists || st == nil:
		return nil
	}
	return st.delete(id.Name)
}

// DeleteUnset deletes brokers and triggers that the directory knows and that were not set since Open, with their events. Call it when all that
// there are have been set: until then, the events of all are kept.
func (s *Server) DeleteUnset() error {
	s.changing.Lock()
	defer s.changing.Unlock()
	s.mu.RLock()
	streams, closed := make([]*stream, 0, len(s.streams)), s.closed
	for _, st := range s.streams {
		streams = append(streams, st)
	}
	s.mu.RUnlock()
	if closed {
		return ErrClosed
	}
	var errs []error
	for _, st := range streams {
		errs = append(errs, st.deleteUnset())
	}
	namespaces, err := os.ReadDir(s.config.Dir)
	if !errors.Is(err, fs.ErrNotExist) { // there has been no broker yet
		errs = append(errs, err)
	}
	for _, namespace := range namespaces {
		if strings.HasPrefix(namespace.Name(), deleted) { // the end of a deletion that was interrupted
			errs = append(errs, os.RemoveAll(filepath.Join(s.config.Dir, namespace.Name())))
			continue
		}
		if !namespace.IsDir() {
			continue
		}
		names, err := os.ReadDir(filepath.Join(s.config.Dir, namespace.Name()))
		errs = append(errs, err)
		for _, name := range names {
			id := ID{namespace.Name(), name.Name()}
			if st, _ := s.stream(id); st == nil && isBroker(s.dirOf(id)) {
				errs = append(errs, s.deleteDir(s.dirOf(id)))
			}
		}
	}
	return errors.Join(errs...)
}

// isBroker tells whether a directory is that of a broker, and not something else that the directory of a careless configuration has.
func isBroker(dir string) bool {
	entries, err := os.ReadDir(dir)
	return err == nil && len(entries) == 2 && entries[0].Name() == logName && entries[0].IsDir() && entries[1].Name() == placesName && entries[1].IsDir()
}

// stream returns that of a broker, or nil.
func (s *Server) stream(id ID) (*stream, error) {
	s.mu.RLock()
	defer s.mu.RUnlock()
	if s.closed {
		return nil, ErrClosed
	}
	return s.streams[id], nil
}

func (s *Server) triggersOf(broker ID) (all []Trigger) {
	s.mu.RLock()
	defer s.mu.RUnlock()
	for id, t := range s.triggers {
		if id.Namespace == broker.Namespace && t.Broker == broker.Name {
			all = append(all, t)
		}
	}
	return all
}

// TriggerState is what a trigger is at.
type TriggerState struct {
	// Behind is how many events there are from the first one on that isn't done, those that the trigger doesn't want included.
	Behind uint64
	// InFlight is how many events are being sent.
	InFlight int
	// Waiting is how many wait for their next attempt.
	Waiting int
	// Keys is how many keys have events that are known and not done.
	Keys int
}

// TriggerState returns what a trigger is at. It is false for one that isn't set, or whose broker isn't.
func (s *Server) TriggerState(id ID) (TriggerState, bool) {
	s.mu.RLock()
	t := s.triggers[id]
	st := s.streams[ID{id.Namespace, t.Broker}]
	s.mu.RUnlock()
	if st == nil {
		return TriggerState{}, false
	}
	st.mu.Lock()
	d := st.dispatchers[id.Name]
	st.mu.Unlock()
	if d == nil {
		return TriggerState{}, false
	}
	return d.state(), true
}

// Run waits until ctx ends, and closes the Server.
func (s *Server) Run(ctx context.Context) error {
	<-ctx.Done()
	return s.Close()
}

// Close takes no more events, gives deliveries in flight Config.Grace, and waits until everything has ended. All events that were acknowledged
// are on disk.
func (s *Server) Close() error {
	s.changing.Lock()
	defer s.changing.Unlock()
	s.mu.Lock()
	if s.closed {
		s.mu.Unlock()
		return ErrClosed
	}
	s.closed = true
	streams := s.streams
	s.streams = nil
	s.mu.Unlock()
	var mu sync.Mutex
	var errs []error
	var ended sync.WaitGroup
	for _, st := range streams {
		ended.Go(func() {
			err := st.end(max(s.config.Grace, 0))
			mu.Lock()
			defer mu.Unlock()
			errs = append(errs, err)
		})
	}
	ended.Wait()
	s.metrics.unregister(s.config.Registerer)
	if s.own != nil {
		s.own.CloseIdleConnections()
	}
	return errors.Join(errs...)
}
