package template

import (
	"fmt"
	"reflect"
	"strings"
	"unicode"
	"unicode/utf16"
	"unicode/utf8"
)

// EscapeJS escapes s for a JSON string (RFC 8259 §7). A parser of the string returns s, with U+FFFD for each byte that is not
// UTF-8. The result is also valid in JavaScript strings with either quotes, and in HTML. text/template's js is for JavaScript
// only: \' and \u with five digits are not JSON (https://go.dev/issue/37634), for which templates of logs use it.
func EscapeJS(s string) string {
	plain := func(r rune) bool { return r >= ' ' && r < 0x7f && !strings.ContainsRune(`\'"<>&=`, r) }
	if strings.IndexFunc(s, func(r rune) bool { return !plain(r) }) < 0 {
		return s
	}
	b := make([]byte, 0, len(s)+16)
	for _, r := range s { // r is U+FFFD for bytes that are not UTF-8
		switch {
		case plain(r), r >= utf8.RuneSelf && unicode.IsPrint(r):
			b = utf8.AppendRune(b, r)
		case r == '\\', r == '"':
			b = append(b, '\\', byte(r))
		case r > 0xffff:
			high, low := utf16.EncodeRune(r)
			b = fmt.Appendf(b, `\u%04X\u%04X`, high, low)
		default:
			b = fmt.Appendf(b, `\u%04X`, r)
		}
	}
	return string(b)
}

func escapeHTML(s string) string {
	return strings.NewReplacer("\x00", "\uFFFD", `"`, "&#34;", "'", "&#39;", "&", "&amp;", "<", "&lt;", ">", "&gt;").Replace(s)
}

// escaper makes a function that prints its arguments as print does and escapes the result.
func escaper(escape func(string) string) function {
	return text(func(args ...any) string { return escape(shown(args)) })
}

func shown(args []any) string {
	for i, arg := range args {
		if shown, ok := printable(reflect.ValueOf(arg)); ok {
			args[i] = shown
		}
	}
	return fmt.Sprint(args...)
}
