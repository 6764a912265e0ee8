package cesql

import (
	"errors"
	"fmt"
)

// Kinds of errors (§3.3).
var (
	ErrParse              = errors.New("the text is no CESQL")
	ErrMissingFunction    = errors.New("there is no such function")
	ErrMath               = errors.New("the result is no Integer")
	ErrCast               = errors.New("a value has no such type")
	ErrMissingAttribute   = errors.New("the event has no such attribute")
	ErrFunctionEvaluation = errors.New("a function doesn't take this argument")
)

// Error says what is wrong at which place of an expression. It unwraps to its Kind.
type Error struct {
	Kind    error
	Message string
	at      place
}

func (e *Error) Error() string { return e.at.String() + e.Message }

func (e *Error) Unwrap() error { return e.Kind }

// place is where something begins in a text, both counted from 1. The zero place is none.
type place struct{ line, column int }

func (p place) String() string {
	switch {
	case p.line == 0:
		return ""
	case p.line == 1:
		return fmt.Sprintf("column %d: ", p.column)
	}
	return fmt.Sprintf("line %d, column %d: ", p.line, p.column)
}

func (p place) errorf(kind error, format string, args ...any) error {
	return &Error{Kind: kind, Message: fmt.Sprintf(format, args...), at: p}
}
