package standalone

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log"
	"maps"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"time"

	"github.com/sluice-proxy/sluice/broker"
	"github.com/sluice-proxy/sluice/internal/limits"
	"github.com/sluice-proxy/sluice/internal/standalone/manifest"
	"github.com/sluice-proxy/sluice/internal/standalone/objects"
	"github.com/sluice-proxy/sluice/internal/standalone/screen"
)

// runningBrokers are the brokers and triggers that run: package broker, behind a listener of its own to which the ingress leads. They are opened
// when the first one is declared. They belong to the goroutine that owns the server's state.
type runningBrokers struct {
	server    *broker.Server
	http      *http.Server
	listener  net.Listener
	temporary *temporary // the directory of events, if it goes with the server

	set    map[manifest.EventingKey]any   // as the server has them: a broker.Broker or a broker.Trigger
	failed map[manifest.EventingKey]error // why it has not what is declared
	swept  bool                           // what earlier runs knew and nobody declares is deleted
}

// eventsDir is the directory of events; "": there is none that lasts.
func (s *Server) eventsDir() string {
	if s.config.API == nil || s.config.API.State == "" {
		return ""
	}
	return filepath.Join(s.config.API.State, "events")
}

// openBrokers opens the brokers.
func (s *Server) openBrokers() (err error) {
	b := &runningBrokers{set: map[manifest.EventingKey]any{}, failed: map[manifest.EventingKey]error{}}
	dir := s.eventsDir()
	if dir == "" {
		if b.temporary, err = newTemporary(os.TempDir()); err != nil {
			return err
		}
		dir = b.temporary.dir
	}
	c := brokerConfig(*s.config.Limits)
	c.Dir, c.Transport, c.Registerer, c.Tracer = dir, s.sender.Transport, s.registry, eventTracer{s.tracer}
	c.Dropped, c.Logger = s.inbox.dropped, s.log
	b.server, err = broker.Open(c)
	if err != nil {
		return errors.Join(err, b.temporary.remove())
	}
	if b.listener, err = new(net.ListenConfig).Listen(context.Background(), "tcp", net.JoinHostPort(DefaultHost, "0")); err != nil {
		return errors.Join(err, b.server.Close(), b.temporary.remove())
	}
	b.http = brokerServer(b.server)
	s.tasks.Go(func() { _ = b.http.Serve(b.listener) }) // it fails only when it is closed
	s.brokers = b
	return nil
}

// brokerConfig returns the settings that all brokers have.
func brokerConfig(l limits.Limits) broker.Config {
	return broker.Config{MaxEventBytes: int(l.EventBytes), MaxLogBytes: int64(l.LogBytes), Grace: endGrace}
}

// brokerServer returns a server of events. A sender that is slow gives its share of the memory for bodies back in the end.
func brokerServer(h http.Handler) *http.Server {
	return &http.Server{
		Handler: h, ReadHeaderTimeout: time.Minute, ReadTimeout: 10 * time.Minute, IdleTimeout: 2 * time.Minute, ErrorLog: log.New(io.Discard, "", 0),
	}
}

// close ends deliveries, and waits for them for endGrace.
func (b *runningBrokers) close() error {
	return errors.Join(b.server.Close(), b.temporary.remove())
}

// endBrokers ends the brokers, if there are any. Events that are sent from then on are answered with 503 and Retry-After.
func (s *Server) endBrokers() {
	b := s.brokers
	if b == nil {
		return
	}
	done := make(chan struct{})
	var err error
	go func() {
		defer close(done)
		err = b.close()
	}()
	s.during(done, time.Hour) // sinks that are here go on
	<-done
	if err != nil {
		s.config.Screen.Line("sluice: the brokers' end: " + err.Error())
	}
}

// endBrokersFront ends what answers senders, after the last request has come through the ingress.
func (s *Server) endBrokersFront() {
	if s.brokers != nil {
		_ = s.brokers.http.Close()
		s.brokers = nil
	}
}

// reconcileBrokers has the brokers and triggers run that are declared.
func (s *Server) reconcileBrokers() {
	if s.ending {
		return
	}
	wanted := s.declared.wantedBrokers()
	if s.brokers == nil {
		if _, err := os.Stat(s.eventsDir()); len(wanted) == 0 && (s.eventsDir() == "" || err != nil) {
			return
		}
		if err := s.openBrokers(); err != nil {
			s.config.Screen.Line("sluice: brokers can't be run: " + err.Error())
			return
		}
	}
	b := s.brokers
	for key := range b.set {
		if _, ok := wanted[key]; !ok {
			s.unsetBroker(key)
		}
	}
	var paths []string
	for _, key := range slices.SortedFunc(maps.Keys(wanted), compareEventing) { // brokers first
		_, old := b.set[key]
		if err := b.apply(key, wanted[key]); err != nil {
			b.failed[key] = err
			continue
		}
		delete(b.failed, key)
		if key.Kind != manifest.KindBroker {
			continue
		}
		path := "/" + key.Namespace + "/" + key.Name
		if paths = append(paths, path); !old {
			s.config.Screen.Line("sluice: events for Broker " + screen.NameOf(key.Namespace, key.Name) + ":  " + s.urlOf(s.config.shownDomain()) + path)
		}
	}
	s.ingress.SetBrokers(b.listener.Addr().String(), paths)
	if !b.swept && !s.kept {
		b.swept = true
		if err := b.server.DeleteUnset(); err != nil {
			s.config.Screen.Line("sluice: events of brokers that are gone: " + err.Error())
		}
	}
}

// retryBrokers tries again what could not be run, as when the disk was full.
func (s *Server) retryBrokers() {
	if s.brokers != nil && len(s.brokers.failed) > 0 {
		s.reconcileBrokers()
	}
}

// apply sets a broker or a trigger if it has changed.
func (b *runningBrokers) apply(key manifest.EventingKey, to any) error {
	if old, ok := b.set[key]; ok && reflect.DeepEqual(old, to) {
		return nil
	}
	var err error
	switch to := to.(type) {
	case broker.Broker:
		err = b.server.SetBroker(to)
	case broker.Trigger:
		err = b.server.SetTrigger(to)
	}
	if err == nil {
		b.set[key] = to
	}
	return err
}

func (s *Server) unsetBroker(key manifest.EventingKey) {
	b, id := s.brokers, broker.ID{Namespace: key.Namespace, Name: key.Name}
	var err error
	if key.Kind == manifest.KindBroker {
		err = b.server.DeleteBroker(id)
	} else {
		err = b.server.DeleteTrigger(id)
	}
	if err != nil {
		s.config.Screen.Line(fmt.Sprintf("sluice: %s %s is deleted, but not its events: %v", key.Kind, key.Name, err))
	}
	delete(b.set, key)
	delete(b.failed, key)
}

// wantedBrokers returns what package broker is to run. A trigger whose sinks aren't there has no subscriber yet: its events wait.
func (d *declared) wantedBrokers() map[manifest.EventingKey]any {
	all := map[manifest.EventingKey]any{}
	for key, e := range d.eventing {
		id := broker.ID{Namespace: e.Namespace, Name: e.Name}
		switch {
		case e.Broker != nil:
			all[key] = broker.Broker{ID: id}
		case e.Trigger != nil:
			delivery, dead := d.delivery(e)
			t := broker.Trigger{
				ID: id, Broker: e.Trigger.Broker, Filter: filterOf(e.Trigger), Key: e.Trigger.Key, SkipRetries: e.Trigger.SkipRetries,
				Subscriber: d.resolve(e.Namespace, &e.Trigger.Subscriber).URI, Delivery: deliveryOf(delivery),
			}
			if dead != nil {
				if t.Delivery.DeadLetter = dead.URI; dead.URI == "" {
					t.Subscriber = ""
				}
			}
			all[key] = t
		}
	}
	return all
}

// delivery returns the delivery of a trigger, which is its broker's unless it has one, and its dead letter sink: nil if there is none.
func (d *declared) delivery(e *manifest.Eventing) (manifest.Delivery, *objects.Sink) {
	delivery := e.Trigger.Delivery
	of := d.eventing[manifest.EventingKey{Kind: manifest.KindBroker, Namespace: e.Namespace, Name: e.Trigger.Broker}]
	if delivery == nil && of != nil {
		delivery = of.Broker.Delivery
	}
	if delivery == nil {
		return manifest.DefaultDelivery(), nil
	}
	return *delivery, d.deadLetters(e.Namespace, delivery)
}

func deliveryOf(d manifest.Delivery) *broker.Delivery {
	to := &broker.Delivery{Retry: d.Retry, Delay: d.BackoffDelay, Timeout: d.Timeout, Structured: d.Structured}
	if d.Linear {
		to.Backoff = broker.Linear
	}
	if d.RetryAfterMax != nil {
		to.RetryAfterMax = *d.RetryAfterMax
	}
	return to
}

func filterOf(t *manifest.Trigger) broker.Filter {
	return broker.Filter{Attributes: t.Attributes, Filters: expressions(t.Filters)}
}

func expressions(filters []manifest.Filter) []broker.Expression {
	var all []broker.Expression
	for i := range filters {
		f := &filters[i]
		e := broker.Expression{
			All: expressions(f.All), Any: expressions(f.Any), Exact: f.Exact, Prefix: f.Prefix, Suffix: f.Suffix, CESQL: f.CESQL,
		}
		if f.Not != nil {
			e.Not = &expressions([]manifest.Filter{*f.Not})[0]
		}
		all = append(all, e)
	}
	return all
}

// checkTrigger returns the error of a trigger's filter or key that package broker can't run.
func checkTrigger(e *manifest.Eventing) error {
	if e.Trigger == nil {
		return nil
	}
	var errs []error
	if err := broker.ValidateFilter(filterOf(e.Trigger)); err != nil {
		field, why, _ := strings.Cut(err.Error(), ": ")
		errs = append(errs, e.Pos.Errorf("spec."+field, "%s", why))
	}
	if err := broker.ValidateKey(e.Trigger.Key); err != nil {
		errs = append(errs, e.Trigger.KeyPlace.Errorf("%v", err))
	}
	return errors.Join(errs...)
}

// running is whether package broker runs a broker or a trigger as it is declared.
func (s *Server) running(key manifest.EventingKey) objects.Condition {
	switch {
	case s.brokers == nil:
		return objects.Condition{State: objects.False, Reason: "NotServed", Message: "brokers can't be run here"}
	case s.brokers.failed[key] != nil:
		return objects.Condition{State: objects.False, Reason: "NotServed", Message: s.brokers.failed[key].Error()}
	}
	return objects.Condition{State: objects.True}
}
