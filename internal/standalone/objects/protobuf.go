package objects

import (
	"google.golang.org/protobuf/encoding/protowire"
)

// fields calls each with the number of every field of a message, and its value: bytes, or a number.
func fields(message []byte, each func(number protowire.Number, value []byte, n uint64) error) error {
	for len(message) > 0 {
		number, kind, size := protowire.ConsumeTag(message)
		if size < 0 {
			return protowire.ParseError(size)
		}
		message = message[size:]
		var value []byte
		var n uint64
		switch kind {
		case protowire.BytesType:
			value, size = protowire.ConsumeBytes(message)
		case protowire.VarintType:
			n, size = protowire.ConsumeVarint(message)
		default:
			size = protowire.ConsumeFieldValue(number, kind, message)
		}
		if size < 0 {
			return protowire.ParseError(size)
		}
		message = message[size:]
		if err := each(number, value, n); err != nil {
			return err
		}
	}
	return nil
}

// entry adds the entry of a map to m.
func entry[V string | []byte](m *map[string]V, message []byte) error {
	var key string
	var value V
	err := fields(message, func(number protowire.Number, v []byte, _ uint64) error {
		switch number {
		case 1:
			key = string(v)
		case 2:
			value = V(v)
		}
		return nil
	})
	if *m == nil {
		*m = map[string]V{}
	}
	(*m)[key] = value
	return err
}

// The numbers of the fields are those of k8s.io/api/core/v1/generated.proto.

// Unmarshal decodes protobuf.
func (c *ConfigMap) Unmarshal(message []byte) error {
	return fields(message, func(number protowire.Number, value []byte, n uint64) error {
		switch number {
		case 1:
			return c.ObjectMeta.Unmarshal(value)
		case 2:
			return entry(&c.Data, value)
		case 3:
			return entry(&c.BinaryData, value)
		case 4:
			c.Immutable = new(n != 0)
		}
		return nil
	})
}

// Unmarshal decodes protobuf.
func (s *Secret) Unmarshal(message []byte) error {
	return fields(message, func(number protowire.Number, value []byte, n uint64) error {
		switch number {
		case 1:
			return s.ObjectMeta.Unmarshal(value)
		case 2:
			return entry(&s.Data, value)
		case 3:
			s.Type = string(value)
		case 4:
			return entry(&s.StringData, value)
		case 5:
			s.Immutable = new(n != 0)
		}
		return nil
	})
}

// Unmarshal decodes protobuf: the metadata, which is all that a client may set.
func (s *Namespace) Unmarshal(message []byte) error {
	return fields(message, func(number protowire.Number, value []byte, _ uint64) error {
		if number == 1 {
			return s.ObjectMeta.Unmarshal(value)
		}
		return nil
	})
}
