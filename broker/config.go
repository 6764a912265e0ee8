package broker

import (
	"errors"
	"fmt"
	"net"
	"net/http"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"go.uber.org/zap"
)

// Config is a Server's. Only Dir is required.
type Config struct {
	// Dir is the directory of all brokers' events. One process at a time may use it.
	Dir string
	// MaxEventBytes bounds the body of a request, and so an event, a batch of events, or a reply. 0: 1 MiB.
	MaxEventBytes int
	// MaxBodyBytes bounds the bodies of all requests that are being read or stored. 0: 64 MiB.
	MaxBodyBytes int64
	// MaxLogBytes bounds each broker's log. The oldest events are dropped when it is exceeded, also those that were not delivered. 0: no
	// bound; when the disk is full, the broker takes no more events.
	MaxLogBytes int64
	// MaxLogAge is how long an event that can't be delivered is kept. 0: until its last attempt.
	MaxLogAge time.Duration
	// MaxInFlight is how many events of a trigger are sent at once. 0: 100.
	MaxInFlight int
	// Grace is how long Close waits for deliveries in flight, before it cancels them. Events whose delivery was canceled are delivered again
	// after the next start. 0: 5 s; negative: not at all.
	Grace time.Duration
	// Transport sends events. It must not follow redirects. Nil: one of the Server's own, with HTTP/1.1, without a proxy.
	Transport http.RoundTripper
	// Registerer gets the metrics. Nil: there are none.
	Registerer prometheus.Registerer
	// Tracer makes spans. Nil: there are none, and traces are passed on as they come.
	Tracer Tracer
	// Dropped is told in a sentence of events that a trigger doesn't deliver, every ten seconds at most for each: the last attempt has failed, or
	// they were dropped from the log. It must neither block nor call the Server. Nil: nobody is.
	Dropped func(trigger ID, why string)
	// Logger gets damage, events that are dropped, and errors of the disk. Nil: nobody does.
	Logger *zap.Logger
}

// Validate says which field is wrong.
func (c Config) Validate() error {
	switch {
	case c.Dir == "":
		return errors.New("broker: Dir is missing: events are kept in a directory")
	case c.MaxEventBytes < 0 || c.MaxEventBytes > maxEventBytes:
		return fmt.Errorf("broker: MaxEventBytes should be at most %d, is %d", maxEventBytes, c.MaxEventBytes)
	case c.MaxBodyBytes != 0 && c.MaxBodyBytes < int64(c.MaxEventBytes):
		return fmt.Errorf("broker: MaxBodyBytes should be at least MaxEventBytes, is %d", c.MaxBodyBytes)
	case c.MaxLogBytes < 0:
		return fmt.Errorf("broker: MaxLogBytes should not be negative, is %d", c.MaxLogBytes)
	case c.MaxLogAge < 0:
		return fmt.Errorf("broker: MaxLogAge should not be negative, is %v", c.MaxLogAge)
	case c.MaxInFlight < 0:
		return fmt.Errorf("broker: MaxInFlight should not be negative, is %d", c.MaxInFlight)
	}
	return nil
}

// maxEventBytes is the most that Config.MaxEventBytes may be: records have to fit into a segment of the log.
const maxEventBytes = 64 << 20

func (c Config) withDefaults() Config {
	if c.MaxEventBytes == 0 {
		c.MaxEventBytes = 1 << 20
	}
	if c.MaxBodyBytes == 0 {
		c.MaxBodyBytes = max(64<<20, int64(c.MaxEventBytes))
	}
	if c.MaxInFlight == 0 {
		c.MaxInFlight = 100
	}
	if c.Grace == 0 {
		c.Grace = 5 * time.Second
	}
	if c.Registerer == nil {
		c.Registerer = prometheus.NewRegistry()
	}
	if c.Tracer == nil {
		c.Tracer = untraced{}
	}
	if c.Dropped == nil {
		c.Dropped = func(ID, string) {}
	}
	if c.Logger == nil {
		c.Logger = zap.NewNop()
	}
	return c
}

// NewTransport returns what a Server sends with by default: HTTP/1.1, without a proxy. It keeps the connections that MaxInFlight deliveries use,
// so that a busy trigger doesn't dial for each event.
func NewTransport() *http.Transport {
	return &http.Transport{
		DialContext:            (&net.Dialer{Timeout: 10 * time.Second, KeepAlive: 30 * time.Second}).DialContext,
		TLSHandshakeTimeout:    10 * time.Second,
		MaxIdleConns:           1024,
		MaxIdleConnsPerHost:    128,
		IdleConnTimeout:        90 * time.Second,
		MaxResponseHeaderBytes: 64 << 10,
		DisableCompression:     true,
	}
}
