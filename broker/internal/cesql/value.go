package cesql

import (
	"strconv"
)

// Type is one of the language's types (§3.1).
type Type uint8

const (
	Boolean Type = iota
	Integer
	String
)

func (t Type) String() string {
	return [...]string{"Boolean", "Integer", "String"}[t]
}

// Value is a Boolean, an Integer or a String. Values of the same type are equal if == says so. The zero Value is false.
type Value struct {
	kind   Type
	number int32 // of an Integer; 1 of true
	text   string
}

func ofBool(b bool) Value {
	if b {
		return Value{kind: Boolean, number: 1}
	}
	return Value{kind: Boolean}
}

func ofInt(n int32) Value { return Value{kind: Integer, number: n} }

func ofText(s string) Value { return Value{kind: String, text: s} }

// Type returns the value's type.
func (v Value) Type() Type { return v.kind }

// Boolean returns a Boolean, or what a String says that is one.
func (v Value) Boolean() (b, ok bool) {
	if v.kind == Integer {
		return false, false
	}
	return v.toBoolean()
}

// String casts to String, which is possible for each value (§3.7, as all casts below).
func (v Value) String() string {
	switch v.kind {
	case Integer:
		return strconv.Itoa(int(v.number))
	case Boolean:
		return strconv.FormatBool(v.number != 0)
	}
	return v.text
}

// is compares what String returns, and allocates nothing.
func (v Value) is(text string) bool {
	if v.kind == Integer {
		var digits [len("-2147483648")]byte
		return string(strconv.AppendInt(digits[:0], int64(v.number), 10)) == text
	}
	return v.String() == text
}

func (v Value) toInteger() (n int32, ok bool) {
	if v.kind == String {
		return parseInteger(v.text)
	}
	return v.number, true
}

func (v Value) toBoolean() (b, ok bool) {
	if v.kind == String {
		return parseBoolean(v.text)
	}
	return v.number != 0, true
}

// equals casts the value to the type of another, and compares them.
func (v Value) equals(other Value) (equal, ok bool) {
	switch other.kind {
	case Integer:
		n, ok := v.toInteger()
		return n == other.number, ok
	case Boolean:
		b, ok := v.toBoolean()
		return b == (other.number != 0), ok
	}
	return v.is(other.text), true
}

// parseInteger reads what strconv.ParseInt does, which makes an error for each text that is no number.
func parseInteger(text string) (n int32, ok bool) {
	digits, negative := text, false
	if text != "" && (text[0] == '-' || text[0] == '+') {
		digits, negative = text[1:], text[0] == '-'
	}
	value := int64(0)
	for i := range len(digits) {
		if !isDigit(digits[i]) {
			return 0, false
		}
		if value = 10*value + int64(digits[i]-'0'); value > 1<<31 {
			return 0, false
		}
	}
	if negative {
		value = -value
	}
	return int32(value), digits != "" && value == int64(int32(value))
}

func parseBoolean(text string) (b, ok bool) {
	switch {
	case isKeyword(text, "TRUE"):
		return true, true
	case isKeyword(text, "FALSE"):
		return false, true
	}
	return false, false
}
