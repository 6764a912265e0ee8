package template

import (
	"fmt"
	"reflect"
	"strings"
	"unicode"
	"unicode/utf8"
)

// The escapers are those of text/template, which can't be imported without its other functions.

// EscapeJS makes s fit between quotes of JavaScript, in HTML too.
func EscapeJS(s string) string {
	plain := func(r rune) bool { return r >= ' ' && r < utf8.RuneSelf && !strings.ContainsRune(`\'"<>&=`, r) }
	if strings.IndexFunc(s, func(r rune) bool { return !plain(r) }) < 0 {
		return s
	}
	b := make([]byte, 0, len(s)+16)
	for i, size := 0, 0; i < len(s); i += size {
		var r rune
		switch r, size = utf8.DecodeRuneInString(s[i:]); {
		case plain(r), r >= utf8.RuneSelf && unicode.IsPrint(r): // what is no UTF-8 stays as it is
			b = append(b, s[i:i+size]...)
		case r == '\\', r == '\'', r == '"':
			b = append(b, '\\', byte(r))
		default:
			b = fmt.Appendf(b, `\u%04X`, r)
		}
	}
	return string(b)
}

func escapeHTML(s string) string {
	return strings.NewReplacer("\x00", "\uFFFD", `"`, "&#34;", "'", "&#39;", "&", "&amp;", "<", "&lt;", ">", "&gt;").Replace(s)
}

// escaper escapes its arguments as print shows them.
func escaper(escape func(string) string) function {
	return text(func(args ...any) string {
		for i, arg := range args {
			if shown, ok := printable(reflect.ValueOf(arg)); ok {
				args[i] = shown
			}
		}
		return escape(fmt.Sprint(args...))
	})
}
