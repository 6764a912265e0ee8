package cesql

import (
	"strings"
	"unicode/utf8"
)

// kind is one of a token's.
type kind uint8

const (
	end      kind = iota
	word          // of letters, digits and underscores, with a letter or an underscore among them: an attribute, a function, a keyword
	digits        // an integer without a sign
	quoted        // a string, between its quotes
	operator      // and what else stands for itself: parentheses, the comma
)

// token is a piece of a text.
type token struct {
	kind kind
	text string // as it stands in the expression
	at   place
}

// is tells whether a token is an operator or a keyword.
func (t token) is(text string) bool {
	return t.kind == operator && t.text == text || t.kind == word && isKeyword(t.text, text)
}

// isKeyword compares with a word in capitals. Keywords may be in small letters, too (§2); other letters than those of ASCII are never meant.
func isKeyword(text, capitals string) bool {
	if len(text) != len(capitals) {
		return false
	}
	for i := range len(text) {
		if c := text[i]; c != capitals[i] && (c < 'a' || c > 'z' || c-'a'+'A' != capitals[i]) {
			return false
		}
	}
	return true
}

// lexer takes tokens off a text, from the left.
type lexer struct {
	rest string // what isn't in a token yet
	at   place  // where that is
}

func (l *lexer) token() (t token, err error) {
	l.cut(len(l.rest) - len(strings.TrimLeft(l.rest, " \t\r\n")))
	t = token{at: l.at}
	if l.rest == "" {
		return t, nil
	}
	length := 0
	if t.kind, length, err = l.first(); err != nil {
		return token{}, err
	}
	t.text = l.cut(length)
	return t, nil
}

// cut takes bytes off, and counts characters, and lines by their newlines.
func (l *lexer) cut(bytes int) string {
	text := l.rest[:bytes]
	l.rest = l.rest[bytes:]
	if lines := strings.Count(text, "\n"); lines > 0 {
		l.at.line += lines
		l.at.column = 1
	}
	l.at.column += utf8.RuneCountInString(text[strings.LastIndexByte(text, '\n')+1:])
	return text
}

// first finds the token that is next, and its length.
func (l *lexer) first() (k kind, length int, err error) {
	switch c := l.rest[0]; {
	case isWord(c):
		k, length = firstWord(l.rest)
		return k, length, nil
	case c == '\'' || c == '"':
		return l.firstString()
	case strings.IndexByte("()*/%+-=,", c) >= 0:
		return operator, 1, nil
	}
	for _, o := range []string{"!=", "<>", "<=", ">=", "<", ">"} {
		if strings.HasPrefix(l.rest, o) {
			return operator, len(o), nil
		}
	}
	r, _ := utf8.DecodeRuneInString(l.rest)
	return 0, 0, l.at.errorf(ErrParse, "found %q, which means nothing outside of quotes", r)
}

func firstWord(text string) (k kind, length int) {
	k = digits
	for length < len(text) && isWord(text[length]) {
		if !isDigit(text[length]) {
			k = word
		}
		length++
	}
	return k, length
}

// firstString ends at the first quote of the same sort that has no backslash before it and doesn't stand twice. A backslash belongs to the
// character behind it, whichever it is (DQUOTA_STRING in the specification's CESQLLexer.g4).
func (l *lexer) firstString() (k kind, length int, err error) {
	text, quote := l.rest, l.rest[0]
	for i := 1; i < len(text); i++ {
		switch {
		case text[i] == '\\':
			i++
		case text[i] != quote:
		case i+1 < len(text) && text[i+1] == quote:
			i++
		default:
			return quoted, i + 1, nil
		}
	}
	return 0, 0, l.at.errorf(ErrParse, "found %.64q, expected a %c at the end of the string", text, quote)
}

func isDigit(c byte) bool { return '0' <= c && c <= '9' }

func isWord(c byte) bool {
	return 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' || isDigit(c) || c == '_'
}
