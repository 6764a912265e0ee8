package filter

import (
	"errors"
	"fmt"
	"strings"
	"sync"

	"github.com/antlr/antlr4/runtime/Go/antlr"
	cesql "github.com/cloudevents/sdk-go/sql/v2"
	"github.com/cloudevents/sdk-go/sql/v2/gen"
	"github.com/cloudevents/sdk-go/sql/v2/parser"
	"github.com/cloudevents/sdk-go/sql/v2/runtime"
	"github.com/cloudevents/sdk-go/sql/v2/utils"
	"github.com/cloudevents/sdk-go/v2/binding/spec"
	sdk "github.com/cloudevents/sdk-go/v2/event"

	"github.com/sluice-proxy/sluice/internal/cloudevent"
)

// longestExpression is in bytes. The parser calls itself for each level and takes time that grows with the square: some 30 ms for this
// much. The evaluation of LIKE takes as many steps as an attribute's and the pattern's lengths multiplied.
const longestExpression = 4 << 10

// deepestExpression is in parentheses. The parser takes seconds to recover from an error inside of some thousands.
const deepestExpression = 100

// expression is a parsed CESQL expression.
type expression struct{ parsed cesql.Expression }

// parsing is held while an expression is parsed: all parsers share the state that antlr learns, partly without a lock.
var parsing sync.Mutex

func parse(text string) (parsed *expression, err error) {
	if len(text) > longestExpression {
		return nil, fmt.Errorf("has %d bytes, and an expression may have %d", len(text), longestExpression)
	}
	parsing.Lock()
	defer parsing.Unlock()
	defer func() {
		if r := recover(); r != nil {
			parsed, err = nil, fmt.Errorf("%.64q is no CESQL: the parser gives up with %v", text, r)
		}
	}()
	if err := checkSyntax(text); err != nil {
		return nil, fmt.Errorf("%.64q is no CESQL: %w", text, err)
	}
	x, err := parser.Parse(text)
	if err != nil {
		return nil, fmt.Errorf("%.64q is no CESQL: %w", text, err)
	}
	return &expression{x}, nil
}

// checkSyntax is there because the SDK's parser leaves out characters that it doesn't know, and says so on standard error, and panics
// about a part of what else is wrong.
func checkSyntax(text string) error {
	var found syntaxErrors
	lexer := gen.NewCESQLParserLexer(parser.NewCaseChangingStream(antlr.NewInputStream(text), true))
	lexer.RemoveErrorListeners()
	lexer.AddErrorListener(&found)
	tokens := antlr.NewCommonTokenStream(lexer, antlr.TokenDefaultChannel)
	tokens.Fill()
	if found.first != nil {
		return found.first
	}
	if err := checkDepth(tokens.GetAllTokens()); err != nil {
		return err
	}
	p := gen.NewCESQLParserParser(tokens)
	p.RemoveErrorListeners()
	p.AddErrorListener(&found)
	tree := p.Cesql()
	if found.first != nil {
		return found.first
	}
	return checkFunctions(tree)
}

func checkDepth(tokens []antlr.Token) error {
	depth := 0
	for _, token := range tokens {
		switch token.GetTokenType() {
		case gen.CESQLParserLexerLR_BRACKET:
			if depth++; depth > deepestExpression {
				return fmt.Errorf("character %d of line %d: parentheses may be %d deep", token.GetColumn()+1, token.GetLine(), deepestExpression)
			}
		case gen.CESQLParserLexerRR_BRACKET:
			depth--
		}
	}
	return nil
}

// checkFunctions finds calls of functions that don't exist, which the SDK finds when it evaluates them.
func checkFunctions(tree antlr.Tree) error {
	if call, ok := tree.(*gen.FunctionInvocationExpressionContext); ok {
		name := strings.ToUpper(call.FunctionIdentifier().GetText())
		arguments := len(call.FunctionParameterList().(*gen.FunctionParameterListContext).AllExpression())
		if runtime.ResolveFunction(name, arguments) == nil {
			return fmt.Errorf("there is no function %s with %d arguments", name, arguments)
		}
	}
	for _, child := range tree.GetChildren() {
		if err := checkFunctions(child); err != nil {
			return err
		}
	}
	return nil
}

type syntaxErrors struct {
	antlr.DefaultErrorListener
	first error
}

func (s *syntaxErrors) SyntaxError(_ antlr.Recognizer, _ any, line, column int, message string, _ antlr.RecognitionException) {
	if s.first == nil {
		s.first = fmt.Errorf("character %d of line %d: %s", column+1, line, message)
	}
}

// evaluate returns a string, an int32 or a bool.
func (x *expression) evaluate(e *evaluation) (value any, err error) {
	event, err := e.sdk.of(e.event)
	if err != nil {
		return nil, err
	}
	defer func() {
		if r := recover(); r != nil {
			err = fmt.Errorf("the evaluation of CESQL gives up with %v", r)
		}
	}()
	return x.parsed.Evaluate(event)
}

// test evaluates an expression that a filter is. A value that is no boolean is cast.
func (x *expression) test(e *evaluation) (bool, error) {
	value, err := x.evaluate(e)
	if err != nil {
		return false, err
	}
	value, err = utils.Cast(value, cesql.BooleanType)
	if err != nil {
		return false, err
	}
	return value.(bool), nil
}

// text evaluates an expression that a key is.
func (x *expression) text(e *evaluation) (string, error) {
	value, err := x.evaluate(e)
	if err != nil {
		return "", err
	}
	value, err = utils.Cast(value, cesql.StringType)
	if err != nil {
		return "", err
	}
	return value.(string), nil
}

// sdkEvent is an event as the SDK has it, made when it is needed first.
type sdkEvent struct {
	made  bool
	event sdk.Event
	err   error
}

func (s *sdkEvent) of(event *cloudevent.Event) (sdk.Event, error) {
	if !s.made {
		s.made = true
		s.event, s.err = toSDK(event)
	}
	return s.event, s.err
}

// toSDK converts attributes; expressions can't see data. Attributes have no types in the broker, as they have none in binary mode: they are
// strings to an expression, and cast where it needs something else.
func toSDK(event *cloudevent.Event) (sdk.Event, error) {
	name, _ := event.Attribute("specversion")
	version := spec.VS.Version(name)
	if version == nil {
		return sdk.Event{}, errors.New("the event has no version")
	}
	context := version.NewContext()
	for name, value := range event.Attributes() {
		if name == "specversion" {
			continue
		}
		if err := version.SetAttribute(context, name, value); err != nil {
			return sdk.Event{}, fmt.Errorf("attribute %s: %w", name, err)
		}
	}
	return sdk.Event{Context: context}, nil
}
