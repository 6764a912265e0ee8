// Package broker runs brokers and triggers, as Knative Eventing has them, in one process. Of a trigger's events those with the same key are
// delivered in order, one at a time, and a key that is blocked holds up no other one.
//
//	sender ──POST /NAMESPACE/BROKER──► ServeHTTP ──► log of the broker ──► 202 when durable
//	                                                      │ read by each trigger's dispatcher: filter, key
//	              dead letter sink ◄── last retry ◄── subscriber ──reply──► log
//
//	s, err := broker.Open(broker.Config{Dir: "/var/lib/events"})
//	err = s.SetBroker(broker.Broker{ID: broker.ID{"default", "example-broker"}})
//	err = s.SetTrigger(broker.Trigger{
//		ID: broker.ID{"default", "orders"}, Broker: "example-broker", Key: "subject", Subscriber: "http://localhost:8080/",
//	})
//	err = s.DeleteUnset() // what earlier runs knew and this one has not set
//	http.ListenAndServe("localhost:8081", s)
//
// # What is guaranteed
//
// An event that was acknowledged with 202 is delivered at least once to each trigger that was set before and whose filter it passes, also after
// the process was killed: until the sink has taken it, the last retry has failed, or Config.MaxLogBytes or MaxLogAge has dropped it. After a
// crash events of the last moments are delivered again, and retries are counted anew.
//
// A sink sees no two events of a key at once, with one exception that HTTP can't avoid: when an attempt has timed out, or the process was
// killed, the sink may still be at work on that event when it comes again.
//
// # Concurrency
//
// All methods of a Server may be called concurrently. Server.changing is held during changes, Server.mu guards the maps. Each broker has a
// stream, whose goroutine keep writes what triggers are done with. Each trigger has a dispatcher, whose goroutine run starts one for each
// event in flight. dispatcher.mu guards what is known of events, and is not held during I/O.
package broker
