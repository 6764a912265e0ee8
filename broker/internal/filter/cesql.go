package filter

import (
	"fmt"

	"github.com/sluice-proxy/sluice/broker/internal/cesql"
	"github.com/sluice-proxy/sluice/internal/cloudevent"
)

func parse(text string) (*cesql.Expression, error) {
	x, err := cesql.Compile(text)
	if err != nil {
		return nil, fmt.Errorf("%.64q is no CESQL: %w", text, err)
	}
	return x, nil
}

// attributes are those of an event, by the names that they have in CloudEvents 1.0.
type attributes struct{ event *cloudevent.Event }

func (a attributes) Attribute(name string) (string, bool) {
	value, ok := a.event.Attribute(name)
	if !ok && name == "dataschema" {
		if version, _ := a.event.Attribute("specversion"); version == "0.3" {
			return a.event.Attribute("schemaurl")
		}
	}
	return value, ok
}

// passes evaluates an expression that a filter is, which has to be a Boolean (CESQL 1.0 §1.2). A String may say true or false: an attribute that
// its sender knows as a Boolean has lost its type on the way.
func passes(x *cesql.Expression, event *cloudevent.Event) (bool, error) {
	value, err := x.Evaluate(attributes{event})
	if err != nil {
		return false, err
	}
	matches, ok := value.Boolean()
	if !ok {
		return false, fmt.Errorf("the expression has the value %.64q, and a filter's has to be TRUE or FALSE", value)
	}
	return matches, nil
}
