package ping

import (
	"context"
	"fmt"
	"net/http"
	"strings"
	"time"

	"github.com/sluice-proxy/sluice/internal/cloudevent"
)

// Event has the attributes and the data that all events of a source have in common.
type Event struct {
	Type, Source string
	ContentType  string // of Data; empty: not said
	Data         []byte
	Extensions   map[string]string // they override other attributes, as in Knative
}

// request returns the event of an ID and a time as a request in binary mode.
func (e *Event) request(ctx context.Context, to, id string, at time.Time) (*http.Request, error) {
	attributes := map[string]string{
		"specversion": "1.0", "type": e.Type, "source": e.Source, "id": id, "time": at.UTC().Format(time.RFC3339Nano),
	}
	if e.ContentType != "" {
		attributes["datacontenttype"] = e.ContentType
	}
	for name, value := range e.Extensions {
		attributes[strings.ToLower(name)] = value
	}
	event, err := cloudevent.New(attributes, e.Data)
	if err != nil {
		return nil, fmt.Errorf("the event of %s: %w", e.Source, err)
	}
	return event.NewRequest(ctx, to)
}
