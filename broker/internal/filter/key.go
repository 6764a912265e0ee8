package filter

import (
	"errors"
	"fmt"

	"github.com/sluice-proxy/sluice/broker/internal/cesql"
	"github.com/sluice-proxy/sluice/internal/cloudevent"
)

// Key finds the key of events, as sluice.dev/key says.
type Key struct {
	attribute  string            // or else
	expression *cesql.Expression // whose value is cast to a string
}

// ErrNoKey is in the error for an event that hasn't the attribute which its key would be, or be made of.
var ErrNoKey = errors.New("the event has no key")

// CompileKey takes the name of an attribute, or a CESQL expression.
func CompileKey(text string) (*Key, error) {
	if isAttribute(text) {
		return &Key{attribute: text}, nil
	}
	x, err := parse(text)
	return &Key{expression: x}, err
}

// Of returns an event's key. Errors other than ErrNoKey are those of an expression that can't be evaluated for this event.
func (k *Key) Of(event *cloudevent.Event) (string, error) {
	if k.expression == nil {
		key, ok := attribute(event, k.attribute)
		if !ok {
			return "", fmt.Errorf("%w: no attribute %s", ErrNoKey, k.attribute)
		}
		return key, nil
	}
	key, err := k.expression.Evaluate(attributes{event})
	if errors.Is(err, cesql.ErrMissingAttribute) {
		return "", fmt.Errorf("%w: %w", ErrNoKey, err)
	}
	if err != nil {
		return "", err
	}
	return key.String(), nil
}
