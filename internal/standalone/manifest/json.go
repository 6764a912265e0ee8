package manifest

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math"
	"strconv"
	"strings"

	"go.yaml.in/yaml/v3"
)

// jsonDocuments reads data as a sequence of JSON values; ok is false if it isn't one or is malformed: the YAML parser then
// reports where. YAML is not a superset of JSON in practice: its parser rejects tabs between tokens and surrogate pairs.
func jsonDocuments(data []byte) (docs []*yaml.Node, ok bool) {
	if !bytes.HasPrefix(bytes.TrimSpace(data), []byte("{")) {
		return nil, false
	}
	p := jsonParser{dec: json.NewDecoder(bytes.NewReader(data)), data: data, line: 1}
	p.dec.UseNumber()
	for {
		n, err := p.value(0)
		if errors.Is(err, io.EOF) {
			return docs, true
		}
		if err != nil {
			return nil, false
		}
		docs = append(docs, &yaml.Node{Kind: yaml.DocumentNode, Line: n.Line, Content: []*yaml.Node{n}})
	}
}

// maxDepth bounds nesting, as encoding/json does except when it returns tokens.
const maxDepth = 1000

type jsonParser struct {
	dec  *json.Decoder
	data []byte
	line int // at offset
	at   int
}

var errTooDeep = errors.New("nested too deeply")

// value reads the next value as a node. io.EOF: there is none.
func (p *jsonParser) value(depth int) (*yaml.Node, error) {
	t, err := p.dec.Token()
	if err != nil {
		return nil, err
	}
	if depth > maxDepth {
		return nil, errTooDeep
	}
	end := int(p.dec.InputOffset())
	p.line += bytes.Count(p.data[p.at:end], []byte("\n"))
	p.at = end
	n := &yaml.Node{Kind: yaml.ScalarNode, Line: p.line}
	switch v := t.(type) {
	case json.Delim:
		n.Kind = yaml.MappingNode
		if v == '[' {
			n.Kind = yaml.SequenceNode
		}
		for p.dec.More() {
			item, err := p.value(depth + 1)
			if err != nil {
				return nil, unexpected(err)
			}
			n.Content = append(n.Content, item)
		}
		_, err := p.dec.Token()
		return n, unexpected(err)
	case string:
		n.Tag, n.Value = "!!str", v
	case json.Number:
		n.Tag, n.Value = "!!int", v.String()
		if strings.ContainsAny(n.Value, ".eE") {
			n.Tag = "!!float"
		}
	case bool:
		n.Tag, n.Value = "!!bool", fmt.Sprint(v)
	case nil:
		n.Tag = "!!null"
	}
	return n, nil
}

func unexpected(err error) error {
	if errors.Is(err, io.EOF) {
		return io.ErrUnexpectedEOF
	}
	return err
}

// jsonScalar returns a scalar as JSON has it: what is no boolean or number of JSON is a string.
func jsonScalar(n *yaml.Node) any {
	switch n.Tag {
	case "!!null":
		return nil
	case "!!bool":
		return strings.EqualFold(n.Value, "true")
	case "!!int", "!!float":
		if i, err := strconv.ParseInt(n.Value, 0, 64); err == nil {
			return i
		}
		if f, err := strconv.ParseFloat(n.Value, 64); err == nil && !math.IsInf(f, 0) && !math.IsNaN(f) {
			return f
		}
	}
	return n.Value
}
