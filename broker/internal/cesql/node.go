package cesql

// node is a part of an expression. With an error it returns the value of its type that stands for an error, by default the zero one (§3.3).
type node interface {
	evaluate(Attributes) (Value, error)
}

func (o operand) evaluate(a Attributes) (Value, error) { return o.node.evaluate(a) }

func (o operand) integer(a Attributes) (int32, error) {
	v, err := o.evaluate(a)
	if err != nil {
		return 0, err
	}
	return o.castInteger(v)
}

func (o operand) boolean(a Attributes) (bool, error) {
	v, err := o.evaluate(a)
	if err != nil {
		return false, err
	}
	b, ok := v.toBoolean()
	if !ok {
		return false, o.castError(v, Boolean)
	}
	return b, nil
}

func (o operand) castInteger(v Value) (int32, error) {
	n, ok := v.toInteger()
	if !ok {
		return 0, o.castError(v, Integer)
	}
	return n, nil
}

func (o operand) castError(v Value, to Type) error {
	return o.at.errorf(ErrCast, "%.64q is no %s", v.String(), to)
}

// evaluateBoth comes before casts, so that a missing attribute is the error that is returned.
func evaluateBoth(left, right operand, a Attributes) (x, y Value, err error) {
	if x, err = left.evaluate(a); err != nil {
		return Value{}, Value{}, err
	}
	y, err = right.evaluate(a)
	return x, y, err
}

func bothIntegers(left, right operand, a Attributes) (x, y int32, err error) {
	v, w, err := evaluateBoth(left, right, a)
	if err != nil {
		return 0, 0, err
	}
	if x, err = left.castInteger(v); err != nil {
		return 0, 0, err
	}
	y, err = right.castInteger(w)
	return x, y, err
}

type literal struct{ value Value }

func (n literal) evaluate(Attributes) (Value, error) { return n.value, nil }

type attribute struct {
	name    string
	missing error
}

// evaluate of a missing attribute: false, since its type isn't known (§3.2).
func (n *attribute) evaluate(a Attributes) (Value, error) {
	value, ok := a.Attribute(n.name)
	if !ok {
		return Value{}, n.missing
	}
	return ofText(value), nil
}

type exists struct{ name string }

func (n *exists) evaluate(a Attributes) (Value, error) {
	_, ok := a.Attribute(n.name)
	return ofBool(ok), nil
}

type not struct{ operand operand }

func (n *not) evaluate(a Attributes) (Value, error) {
	b, err := n.operand.boolean(a)
	return ofBool(!b && err == nil), err
}

type negate struct{ operand operand }

func (n *negate) evaluate(a Attributes) (Value, error) {
	x, err := n.operand.integer(a)
	if err != nil {
		return ofInt(0), err
	}
	return toInteger(-int64(x), n.operand.at)
}

// toInteger keeps to the range of Integer. The specification has an error for ABS of the lowest one (§3.5.2), and the same goes for
// operators: what they would return otherwise is no sum.
func toInteger(n int64, at place) (Value, error) {
	if n != int64(int32(n)) {
		return ofInt(0), at.errorf(ErrMath, "%d is no Integer, which has 32 bits", n)
	}
	return ofInt(int32(n)), nil
}

type arithmetic struct {
	operator    byte
	left, right operand
	at          place
}

func (n *arithmetic) evaluate(a Attributes) (Value, error) {
	left, right, err := bothIntegers(n.left, n.right, a)
	if err != nil {
		return ofInt(0), err
	}
	x, y := int64(left), int64(right)
	switch n.operator {
	case '+':
		return toInteger(x+y, n.at)
	case '-':
		return toInteger(x-y, n.at)
	case '*':
		return toInteger(x*y, n.at)
	}
	if y == 0 {
		return ofInt(0), n.at.errorf(ErrMath, "division of %d by zero", x)
	}
	if n.operator == '/' {
		return toInteger(x/y, n.at)
	}
	return toInteger(x%y, n.at)
}

// equality casts its left operand to the type of the right one (§3.7).
type equality struct {
	left, right operand
	equal       bool // or else not
}

func (n *equality) evaluate(a Attributes) (Value, error) {
	x, y, err := evaluateBoth(n.left, n.right, a)
	if err != nil {
		return Value{}, err
	}
	equal, ok := x.equals(y)
	if !ok {
		return Value{}, n.left.castError(x, y.kind)
	}
	return ofBool(equal == n.equal), nil
}

type order struct {
	operator    string
	left, right operand
}

func (n *order) evaluate(a Attributes) (Value, error) {
	x, y, err := bothIntegers(n.left, n.right, a)
	if err != nil {
		return Value{}, err
	}
	switch n.operator {
	case "<":
		return ofBool(x < y), nil
	case "<=":
		return ofBool(x <= y), nil
	case ">":
		return ofBool(x > y), nil
	}
	return ofBool(x >= y), nil
}

// logic is a chain of operands with an operator behind each but the last. It is evaluated as x AND (y OR (z …)): from the right, as in
// CloudEvents' SDKs, and so in Knative's brokers, although §3.6 has it from the left. A filter has to match the same events here and there.
type logic struct {
	links []link
	last  operand
}

type link struct {
	operand  operand
	operator string // AND, OR, XOR
}

func (n *logic) evaluate(a Attributes) (Value, error) {
	negated := false // by operands of XOR that are true
	for _, l := range n.links {
		b, err := l.operand.boolean(a)
		switch {
		case err != nil:
			return Value{}, err
		case l.operator == "XOR":
			negated = negated != b
		case b == (l.operator == "OR"):
			return ofBool(b != negated), nil
		}
	}
	b, err := n.last.boolean(a)
	return ofBool(b != negated && err == nil), err
}

// in casts the elements to the type of its operand (§3.4.5).
type in struct {
	operand operand
	set     []operand
}

func (n *in) evaluate(a Attributes) (Value, error) {
	v, err := n.operand.evaluate(a)
	if err != nil {
		return Value{}, err
	}
	for _, o := range n.set {
		element, err := o.evaluate(a)
		if err != nil {
			return Value{}, err
		}
		equal, ok := element.equals(v)
		if !ok {
			return Value{}, o.castError(element, v.kind)
		}
		if equal {
			return ofBool(true), nil
		}
	}
	return ofBool(false), nil
}

type like struct {
	operand operand
	pattern pattern
}

func (n *like) evaluate(a Attributes) (Value, error) {
	v, err := n.operand.evaluate(a)
	if err != nil {
		return Value{}, err
	}
	return ofBool(n.pattern.match(v.String())), nil
}
