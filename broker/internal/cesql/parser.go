package cesql

import (
	"fmt"
	"slices"
	"strings"
)

// parser makes a tree of a text, by recursive descent with a precedence for each binary operator.
type parser struct {
	lexer   lexer
	token   token // the one to be read next
	nesting int   // of the operand that is being read
}

// operand is an expression within another one.
type operand struct {
	node node
	at   place
}

func (p *parser) parse() (operand, error) {
	if err := p.advance(); err != nil {
		return operand{}, err
	}
	root, err := p.logic()
	if err != nil {
		return operand{}, err
	}
	if p.token.kind != end {
		return operand{}, p.token.expected("an operator or the end")
	}
	return root, nil
}

func (p *parser) advance() (err error) {
	p.token, err = p.lexer.token()
	return err
}

// take reads an operator or a keyword if it is next.
func (p *parser) take(text string) (taken bool, err error) {
	if !p.token.is(text) {
		return false, nil
	}
	return true, p.advance()
}

// need reads an operator that has to be next.
func (p *parser) need(text, what string) error {
	taken, err := p.take(text)
	if err == nil && !taken {
		err = p.token.expected(what)
	}
	return err
}

func (t token) expected(what string) error {
	found := fmt.Sprintf("%.64q", t.text)
	if t.kind == end {
		found = "the end"
	}
	return t.at.errorf(ErrParse, "found %s, expected %s", found, what)
}

// logic reads a whole expression: a chain of AND, OR and XOR, which have the same precedence, the lowest.
func (p *parser) logic() (operand, error) {
	at := p.token.at
	var chain []link
	for {
		x, err := p.binary(1)
		if err != nil {
			return operand{}, err
		}
		i := slices.IndexFunc(logicOperators, p.token.is)
		switch {
		case i >= 0:
			chain = append(chain, link{x, logicOperators[i]})
		case chain != nil:
			return operand{&logic{chain, x}, at}, nil
		default:
			return x, nil
		}
		if err := p.advance(); err != nil {
			return operand{}, err
		}
	}
}

// precedence of binary operators with two operands that are no logic (§3.6). The higher one is evaluated first.
func (t token) precedence() int {
	if t.kind != operator {
		return 0
	}
	switch t.text {
	case "*", "/", "%":
		return 3
	case "+", "-":
		return 2
	case "=", "!=", "<>", "<", "<=", ">", ">=":
		return 1
	}
	return 0
}

// binary reads an operand, and the operators of at least a precedence, which is 1 or more, that follow it. LIKE and IN have a higher one than
// all others with two operands.
func (p *parser) binary(lowest int) (operand, error) {
	left, err := p.operand()
	for err == nil {
		precedence := p.token.precedence()
		switch {
		case p.token.is("LIKE") || p.token.is("IN") || p.token.is("NOT"):
			left, err = p.likeOrIn(left)
		case precedence >= lowest:
			left, err = p.binaryOperator(left, precedence)
		default:
			return left, nil
		}
	}
	return operand{}, err
}

// binaryOperator reads the operator that is next and its right operand. Operators of the same precedence are evaluated from left to right.
func (p *parser) binaryOperator(left operand, precedence int) (operand, error) {
	o, at := p.token.text, p.token.at
	if err := p.advance(); err != nil {
		return operand{}, err
	}
	right, err := p.binary(precedence + 1)
	if err != nil {
		return operand{}, err
	}
	switch o {
	case "*", "/", "%", "+", "-":
		return operand{&arithmetic{o[0], left, right, at}, left.at}, nil
	case "=", "!=", "<>":
		return operand{&equality{left, right, o == "="}, left.at}, nil
	}
	return operand{&order{o, left, right}, left.at}, nil
}

func (p *parser) likeOrIn(left operand) (operand, error) {
	negated, err := p.take("NOT")
	if err != nil {
		return operand{}, err
	}
	result := left
	switch {
	case p.token.is("LIKE"):
		result.node, err = p.like(left)
	case p.token.is("IN"):
		result.node, err = p.in(left)
	default:
		err = p.token.expected("LIKE or IN after a NOT that is between operands")
	}
	if negated {
		result.node = &not{result}
	}
	return result, err
}

func (p *parser) like(left operand) (node, error) {
	if err := p.advance(); err != nil {
		return nil, err
	}
	if p.token.kind != quoted {
		return nil, p.token.expected("a pattern in quotes")
	}
	pattern := compilePattern(unquote(p.token.text))
	return &like{left, pattern}, p.advance()
}

func (p *parser) in(left operand) (node, error) {
	if err := p.advance(); err != nil {
		return nil, err
	}
	if err := p.need("(", "the values of IN in parentheses"); err != nil {
		return nil, err
	}
	set, err := p.list()
	return &in{left, set}, err
}

// list reads at least one expression, and up to the parenthesis that ends the list.
func (p *parser) list() (all []operand, err error) {
	defer p.leave()
	if err := p.enter(); err != nil {
		return nil, err
	}
	for {
		x, err := p.logic()
		if err != nil {
			return nil, err
		}
		all = append(all, x)
		if !p.token.is(",") {
			return all, p.need(")", "an operator, a comma or a closing parenthesis")
		}
		if err := p.advance(); err != nil {
			return nil, err
		}
	}
}

// enter counts what calls itself for each level, and leave is called after it in any case.
func (p *parser) enter() error {
	if p.nesting++; p.nesting > DeepestNesting {
		return p.token.at.errorf(ErrParse, "more than %d parentheses, calls, NOT and minus signs are inside of each other", DeepestNesting)
	}
	return nil
}

func (p *parser) leave() { p.nesting-- }

// operand reads what has no operators, or one in front of it.
func (p *parser) operand() (operand, error) {
	t := p.token
	if err := p.advance(); err != nil {
		return operand{}, err
	}
	n, err := p.node(t)
	return operand{n, t.at}, err
}

// node makes the node that begins with a token, which has been read.
func (p *parser) node(t token) (node, error) {
	switch {
	case t.is("("):
		return p.subexpression()
	case t.is("NOT"):
		x, err := p.nested()
		return &not{x}, err
	case t.is("-") || t.is("+"):
		return p.sign(t)
	case t.is("EXISTS"):
		return p.exists()
	case t.is("TRUE") || t.is("FALSE"):
		return literal{ofBool(t.is("TRUE"))}, nil
	case t.kind == digits:
		return integerLiteral(t.text, t.at)
	case t.kind == quoted:
		return literal{ofText(unquote(t.text))}, nil
	case t.kind == word && !t.isReserved():
		if p.token.is("(") {
			return p.call(t)
		}
		return newAttribute(t)
	}
	return nil, t.expected("an attribute, a literal, a function, NOT, EXISTS, a minus sign or an opening parenthesis")
}

func (p *parser) subexpression() (node, error) {
	defer p.leave()
	if err := p.enter(); err != nil {
		return nil, err
	}
	x, err := p.logic()
	if err != nil {
		return nil, err
	}
	return x.node, p.need(")", "an operator or a closing parenthesis")
}

// nested reads the operand of an operator in front of it.
func (p *parser) nested() (operand, error) {
	defer p.leave()
	if err := p.enter(); err != nil {
		return operand{}, err
	}
	return p.operand()
}

// sign reads an integer that the sign belongs to, or what a minus negates. A sign behind an operand never comes here: 1-1 has two operands.
func (p *parser) sign(t token) (node, error) {
	if number := p.token; number.kind == digits && number.at == (place{t.at.line, t.at.column + 1}) {
		if err := p.advance(); err != nil {
			return nil, err
		}
		return integerLiteral(t.text+number.text, t.at)
	}
	if t.text == "+" {
		return nil, p.token.expected("the digits of an integer behind the plus sign")
	}
	x, err := p.nested()
	return &negate{x}, err
}

func integerLiteral(text string, at place) (node, error) {
	n, ok := parseInteger(text)
	if !ok {
		return nil, at.errorf(ErrParse, "found %.64s, expected an integer from -2147483648 to 2147483647", text)
	}
	return literal{ofInt(n)}, nil
}

func (p *parser) exists() (node, error) {
	t := p.token
	if t.kind != word && t.kind != digits || t.isReserved() {
		return nil, p.token.expected("the name of an attribute after EXISTS")
	}
	name, err := attributeName(t)
	if err != nil {
		return nil, err
	}
	return &exists{name}, p.advance()
}

func newAttribute(t token) (node, error) {
	name, err := attributeName(t)
	if err != nil {
		return nil, err
	}
	return &attribute{name, t.at.errorf(ErrMissingAttribute, "the event has no attribute %s", name)}, nil
}

// attributeName takes capitals for small letters, as in the specification's conformance suite.
func attributeName(t token) (string, error) {
	if strings.Contains(t.text, "_") {
		return "", t.at.errorf(ErrParse, "found %.64q, expected the name of an attribute, which has no underscore", t.text)
	}
	return strings.ToLower(t.text), nil
}

var (
	logicOperators = []string{"AND", "OR", "XOR"}
	reserved       = append([]string{"NOT", "LIKE", "EXISTS", "IN", "TRUE", "FALSE"}, logicOperators...)
)

func (t token) isReserved() bool { return slices.ContainsFunc(reserved, t.is) }

func (p *parser) call(name token) (node, error) {
	if err := p.advance(); err != nil { // the parenthesis
		return nil, err
	}
	var arguments []operand
	empty, err := p.take(")")
	if err == nil && !empty {
		arguments, err = p.list()
	}
	if err != nil {
		return nil, err
	}
	return newCall(strings.ToUpper(name.text), arguments, name.at)
}

// unquote takes the quotes away, and the backslashes of quotes within. A quote that stands twice stays so, as in CloudEvents' SDKs.
func unquote(text string) string {
	quote := text[:1]
	return strings.ReplaceAll(text[1:len(text)-1], `\`+quote, quote)
}
