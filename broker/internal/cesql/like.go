package cesql

import (
	"strings"
	"unicode/utf8"
)

// pattern is that of LIKE (§3.4.3): the segments between its percent signs. There is at least one.
type pattern []segment

// segment is what a pattern has between percent signs: pieces, one after the other.
type segment []piece

// piece is a number of characters of any kind, and a text behind them.
type piece struct {
	skip int
	text string
}

func compilePattern(text string) pattern {
	var (
		segments pattern
		current  segment
		last     piece
	)
	finish := func() {
		if last != (piece{}) {
			current = append(current, last)
		}
		last = piece{}
	}
	for i := 0; i < len(text); i++ {
		c := text[i]
		switch {
		case c == '%':
			finish()
			segments, current = append(segments, current), nil
		case c == '_':
			if last.text != "" {
				finish()
			}
			last.skip++
		default:
			if c == '\\' && i+1 < len(text) && (text[i+1] == '%' || text[i+1] == '_') {
				i++
			}
			last.text += text[i : i+1]
		}
	}
	finish()
	return append(segments, current)
}

// match finds the first segment at the begin, the last one at the end, and each other one as soon as possible after the one before it.
func (p pattern) match(text string) bool {
	rest, ok := p[0].cutPrefix(text)
	if !ok || len(p) == 1 {
		return ok && rest == ""
	}
	last := len(p) - 1
	for _, s := range p[1:last] {
		if rest, ok = s.cut(rest); !ok {
			return false
		}
	}
	return p[last].endOf(rest)
}

// cutPrefix returns what follows the segment in a text that begins with it.
func (s segment) cutPrefix(text string) (rest string, ok bool) {
	for _, p := range s {
		if text, ok = skip(text, p.skip); !ok {
			return "", false
		}
		if text, ok = strings.CutPrefix(text, p.text); !ok {
			return "", false
		}
	}
	return text, true
}

// cut returns what follows the first place where the segment is in a text.
func (s segment) cut(text string) (rest string, ok bool) {
	if len(s) == 0 {
		return text, true
	}
	if text, ok = skip(text, s[0].skip); !ok {
		return "", false
	}
	for {
		i := strings.Index(text, s[0].text)
		if i < 0 {
			return "", false
		}
		if rest, ok := s[1:].cutPrefix(text[i+len(s[0].text):]); ok {
			return rest, true
		}
		text = text[i+1:] // s[0] has a text, if there is something after it: the next one begins with a character
	}
}

// endOf tells whether a text ends with the segment.
func (s segment) endOf(text string) (ok bool) {
	for i := len(s) - 1; i >= 0; i-- {
		if text, ok = strings.CutSuffix(text, s[i].text); !ok {
			return false
		}
		for range s[i].skip {
			if text == "" {
				return false
			}
			_, size := utf8.DecodeLastRuneInString(text)
			text = text[:len(text)-size]
		}
	}
	return true
}

// skip leaves characters out, none if the number is negative.
func skip(text string, characters int) (rest string, ok bool) {
	for range characters {
		if text == "" {
			return "", false
		}
		_, size := utf8.DecodeRuneInString(text)
		text = text[size:]
	}
	return text, true
}
