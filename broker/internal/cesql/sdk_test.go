package cesql

import (
	"errors"
	"fmt"
	"regexp"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/antlr/antlr4/runtime/Go/antlr"
	peer "github.com/cloudevents/sdk-go/sql/v2"
	peererrors "github.com/cloudevents/sdk-go/sql/v2/errors"
	"github.com/cloudevents/sdk-go/sql/v2/gen"
	peerparser "github.com/cloudevents/sdk-go/sql/v2/parser"
	"github.com/cloudevents/sdk-go/v2/event"
	"pgregory.net/rapid"
)

// sdk is what CloudEvents' own SDK, which Knative's brokers use, makes of a text.
type sdk struct {
	expression peer.Expression
	refused    error // its text
	value      any   // string, int32 or bool
	failed     error // its evaluation
}

func newSDK(text string, a attributes) (s sdk) {
	s.expression, s.refused = parseBySDK(text)
	if s.refused != nil {
		return s
	}
	e := event.New()
	for name, value := range a {
		switch name {
		case "specversion":
		case "id":
			e.SetID(value)
		case "source":
			e.SetSource(value)
		case "type":
			e.SetType(value)
		default:
			e.SetExtension(name, value)
		}
	}
	defer func() {
		if r := recover(); r != nil {
			s.failed = fmt.Errorf("panic: %v", r)
		}
	}()
	s.value, s.failed = s.expression.Evaluate(e)
	return s
}

// parseBySDK asks the lexer first, which leaves out characters that it doesn't know, and says so on standard error only.
func parseBySDK(text string) (x peer.Expression, err error) {
	defer func() {
		if r := recover(); r != nil {
			err = fmt.Errorf("panic: %v", r)
		}
	}()
	var unknown syntaxErrors
	lexer := gen.NewCESQLParserLexer(peerparser.NewCaseChangingStream(antlr.NewInputStream(text), true))
	lexer.RemoveErrorListeners()
	lexer.AddErrorListener(&unknown)
	antlr.NewCommonTokenStream(lexer, antlr.TokenDefaultChannel).Fill()
	if unknown.first != "" {
		return nil, errors.New(unknown.first)
	}
	return peerparser.Parse(text)
}

type syntaxErrors struct {
	antlr.DefaultErrorListener
	first string
}

func (s *syntaxErrors) SyntaxError(_ antlr.Recognizer, _ any, _, _ int, message string, _ antlr.RecognitionException) {
	s.first = message
}

// differences are those that are meant, each with its reason.
var differences = []struct {
	reason string
	is     func(text string, a attributes, ours Value, err error, theirs sdk) bool
}{
	{
		"1-1 is a difference (§2.3 asks for no space); the SDK takes each sign before a digit for the integer's, and refuses two operands in a row",
		func(text string, _ attributes, _ Value, _ error, theirs sdk) bool {
			return theirs.refused != nil && signAfterOperand.MatchString(text)
		},
	},
	{
		"letters outside of ASCII are no part of a keyword or an attribute's name (§2.2); the SDK takes ı for I, and ſ for S",
		func(text string, _ attributes, _ Value, err error, theirs sdk) bool {
			return theirs.refused == nil && errors.Is(err, ErrParse) && strings.ContainsAny(text, "ıſ")
		},
	},
	{
		"texts that aren't UTF-8, or too long or too deep, are refused: time and memory are bounded",
		func(text string, _ attributes, _ Value, err error, _ sdk) bool {
			return errors.Is(err, ErrParse) && (!utf8.ValidString(text) || len(text) > LongestText || strings.Contains(err.Error(), "inside of each other"))
		},
	},
	{
		"functions that don't exist are found when the text is compiled (§3.3); by the SDK when they are called",
		func(_ string, _ attributes, _ Value, err error, theirs sdk) bool {
			return errors.Is(err, ErrMissingFunction) && theirs.refused == nil
		},
	},
	{
		"a result beyond 32 bits is a MathError, as for ABS (§3.5.2); the SDK returns what is left of it",
		func(_ string, _ attributes, _ Value, err error, theirs sdk) bool {
			return errors.Is(err, ErrMath) && strings.Contains(err.Error(), "32 bits")
		},
	},
	{
		"SUBSTRING with a negative length is a FunctionEvaluationError (§3.5.1); the SDK panics, or returns a string",
		func(_ string, _ attributes, _ Value, err error, _ sdk) bool {
			return errors.Is(err, ErrFunctionEvaluation) && strings.Contains(err.Error(), "SUBSTRING has the length")
		},
	},
	{
		"characters are counted, by functions and by the underscore of LIKE (§3.1, §3.4.3); the SDK counts bytes, and cuts characters in two",
		func(text string, a attributes, _ Value, _ error, _ sdk) bool {
			return !isASCII(text+a["a"]+a["b"]) && byCharacter.MatchString(text)
		},
	},
	{
		`\% and \_ match these two characters alone (§3.4.3); to the SDK the backslash also matches a backslash, with the wildcard behind it`,
		func(text string, a attributes, _ Value, _ error, _ sdk) bool {
			return strings.Contains(text, `\%`) || strings.Contains(text, `\_`)
		},
	},
	{
		"% in a pattern matches what begins with % as anything else (§3.4.3); to the SDK it then matches this character alone",
		func(text string, a attributes, _ Value, _ error, _ sdk) bool {
			return strings.Count(text+a["a"]+a["b"], "%") > 1 && strings.Contains(strings.ToUpper(text), "LIKE")
		},
	},
	{
		"CONCAT of more than 1 MiB fails: memory is bounded",
		func(_ string, _ attributes, _ Value, err error, _ sdk) bool {
			return errors.Is(err, ErrFunctionEvaluation) && strings.Contains(err.Error(), "bytes together")
		},
	},
}

var (
	signAfterOperand = regexp.MustCompile(`[0-9A-Za-z_)'"]\s*[+-][0-9]|-[0-9]+[A-Za-z]`)
	byCharacter      = regexp.MustCompile(`(?i)LENGTH|LEFT|RIGHT|SUBSTRING|LIKE`)
)

func isASCII(text string) bool {
	return !strings.ContainsFunc(text, func(r rune) bool { return r >= utf8.RuneSelf })
}

var sdkKinds = []struct {
	ours error
	is   func(error) bool
}{
	{ErrParse, peererrors.IsParseError},
	{ErrMath, peererrors.IsMathError},
	{ErrCast, peererrors.IsCastError},
	{ErrMissingAttribute, peererrors.IsMissingAttributeError},
	{ErrFunctionEvaluation, peererrors.IsFunctionEvaluationError},
}

// compare returns how we differ from the SDK, with a value or with the kind of an error.
func compare(text string, a attributes) error {
	var ours Value
	x, err := Compile(text)
	if err == nil {
		ours, err = x.Evaluate(a)
	}
	theirs := newSDK(text, a)
	if agree(ours, err, theirs) {
		return nil
	}
	for _, d := range differences {
		if d.is(text, a, ours, err, theirs) {
			return nil
		}
	}
	return fmt.Errorf("%q of %q: %#v, %v; by the SDK %#v, %v, %v", text, a, ours, err, theirs.value, theirs.refused, theirs.failed)
}

func agree(ours Value, err error, theirs sdk) bool {
	switch {
	case theirs.refused != nil:
		return errors.Is(err, ErrParse) || errors.Is(err, ErrMissingFunction)
	case theirs.failed == nil && err == nil:
		return theirs.value == map[Type]any{String: ours.text, Integer: ours.number, Boolean: ours.number != 0}[ours.kind]
	}
	for _, k := range sdkKinds {
		if errors.Is(err, k.ours) {
			return k.is(theirs.failed)
		}
	}
	return false
}

func FuzzCESQL(f *testing.F) {
	for _, c := range readTCK(f) {
		f.Add(c.Expression, c.attributes()["subject"], "")
	}
	for _, text := range []string{"1-1", "a LIKE '%_b%'", "NOT a IN (1, b, TRUE)", "a AND b OR EXISTS c XOR TRUE", "SUBSTRING(a, -1, 2) = LEFT(b, 3)", "a\n<> 'it''s'"} {
		f.Add(text, "10", "true")
	}
	f.Fuzz(func(t *testing.T, text, a, b string) {
		if !utf8.ValidString(a+b) || len(text) > 1000 {
			t.Skip() // what isn't UTF-8 is no attribute, and the SDK takes long for long texts
		}
		if err := compare(text, with(attributes{"a": a, "b": b})); err != nil {
			t.Error(err)
		}
	})
}

// Expressions that are well-formed more often than those that FuzzCESQL makes.
func TestAgainstSDK(t *testing.T) {
	leaf := rapid.SampledFrom([]string{
		"a", "b", "A", "missing", "type", "TRUE", "false", "0", "1", "-1", "10", "-2147483648", "2147483647", "'10'", "'true'", "'FALSE'", `"a%b"`, "''", `'a\'b'`, "'-7'",
		"EXISTS a", "EXISTS missing",
	})
	infix := rapid.SampledFrom([]string{"AND", "OR", "XOR", "and", "=", "!=", "<>", "<", "<=", ">", ">=", "+", "-", "*", "/", "%"})
	pattern := rapid.SampledFrom([]string{"'%'", "'_'", "'a%'", "'%a'", "'%a%b%'", "'_a%_'", "'a_b'", "''", "'%_0'", "'1%0'", "'%__%'"})
	names := rapid.SampledFrom([]string{"ABS", "BOOL", "INT", "IS_BOOL", "is_int", "LEFT", "LENGTH", "LOWER", "RIGHT", "STRING", "SUBSTRING", "TRIM", "UPPER", "CONCAT", "CONCAT_WS"})
	var expression func(depth int) *rapid.Generator[string]
	expression = func(depth int) *rapid.Generator[string] {
		return rapid.Custom(func(t *rapid.T) string {
			part := func() string { return expression(depth-1).Draw(t, "part") }
			list := func(least int) string {
				return strings.Join(rapid.SliceOfN(expression(depth-1), least, 3).Draw(t, "list"), ", ")
			}
			kinds := 9
			if depth == 0 {
				kinds = 0
			}
			switch rapid.IntRange(0, kinds).Draw(t, "kind") {
			case 1:
				return "NOT " + part()
			case 2:
				return "- " + part()
			case 3:
				return "(" + part() + ")"
			case 4:
				return part() + rapid.SampledFrom([]string{" LIKE ", " NOT LIKE "}).Draw(t, "like") + pattern.Draw(t, "pattern")
			case 5:
				return part() + rapid.SampledFrom([]string{" IN ", " NOT IN "}).Draw(t, "in") + "(" + list(1) + ")"
			case 6:
				return names.Draw(t, "function") + "(" + list(0) + ")"
			case 7, 8, 9:
				return part() + " " + infix.Draw(t, "operator") + " " + part()
			}
			return leaf.Draw(t, "leaf")
		})
	}
	value := rapid.SampledFrom([]string{"", "a", "b", "10", "-7", "true", "FALSE", "aXb", "a%b", " a ", "2147483648", "ab0", "é", "+1"})
	rapid.Check(t, func(t *rapid.T) {
		a := with(attributes{"a": value.Draw(t, "a"), "b": value.Draw(t, "b")})
		if err := compare(expression(3).Draw(t, "text"), a); err != nil {
			t.Fatal(err)
		}
	})
}
