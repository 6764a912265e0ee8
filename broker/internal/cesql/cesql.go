// Package cesql compiles and evaluates expressions of CloudEvents SQL 1.0, which
// https://github.com/cloudevents/spec/blob/cesql/v1.0.0/cesql/spec.md specifies; sections in this package's comments are those of that text.
//
//	x, err := cesql.Compile("type LIKE 'com.example.%' AND INT(priority) > 3")
//	value, err := x.Evaluate(&event) // of anything that has attributes
//	matches, ok := value.Boolean()
//
// A text goes through the lexer and the parser, which makes a tree of nodes. Whatever can be wrong with a text alone is an error of Compile:
// its syntax, literals that are no integers of 32 bits, functions that don't exist and numbers of arguments that they don't take. Evaluation
// ends at the first error (§4.1, "fail fast mode").
//
// There is no state besides the trees, which never change: any number of goroutines may compile, and evaluate the same expression. Evaluation
// allocates memory for new strings and for errors only. The time that Compile takes grows with the length of the text. The time of an
// evaluation does, too, and with the length of the attributes; LIKE takes at most the product of the two lengths, and that only for a
// pattern with many underscores.
package cesql

import (
	"fmt"
	"unicode/utf8"
)

// LongestText is how many bytes of text Compile takes.
const LongestText = 4 << 10

// DeepestNesting is how many parentheses, calls, NOT and minus signs may be around an operand.
const DeepestNesting = 100

// Attributes are those of an event, in their string form: the wire has no types, so that an expression gets strings, and casts them.
type Attributes interface {
	Attribute(name string) (value string, ok bool)
}

// Expression is a compiled text.
type Expression struct{ root node }

// Compile makes an expression of a text. Its errors are of type *Error, with the kinds ErrParse and ErrMissingFunction.
func Compile(text string) (*Expression, error) {
	if len(text) > LongestText {
		return nil, &Error{Kind: ErrParse, Message: fmt.Sprintf("the text has %d bytes, and may have %d", len(text), LongestText)}
	}
	if !utf8.ValidString(text) {
		return nil, &Error{Kind: ErrParse, Message: "the text is not UTF-8"}
	}
	p := parser{lexer: lexer{text, place{1, 1}}}
	root, err := p.parse()
	if err != nil {
		return nil, err
	}
	return &Expression{root.node}, nil
}

// Evaluate returns the expression's value for an event. With an error, which is of type *Error, the value is the one that the
// specification has for that error.
func (x *Expression) Evaluate(a Attributes) (Value, error) { return x.root.evaluate(a) }
