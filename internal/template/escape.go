package template

import (
	"fmt"
	"reflect"
	"strings"
	"unicode"
	"unicode/utf16"
	"unicode/utf8"
)

// EscapeJS makes s fit between quotes of JSON (RFC 8259 §7), which are read back as s with U+FFFD for each byte that is no
// UTF-8. What it makes fits between quotes of JavaScript too, of both kinds, in HTML too. text/template's js is for
// JavaScript alone: \' and \u of five digits are no JSON (https://go.dev/issue/37634), and JSON is what templates of logs
// use it for.
func EscapeJS(s string) string {
	plain := func(r rune) bool { return r >= ' ' && r < 0x7f && !strings.ContainsRune(`\'"<>&=`, r) }
	if strings.IndexFunc(s, func(r rune) bool { return !plain(r) }) < 0 {
		return s
	}
	b := make([]byte, 0, len(s)+16)
	for _, r := range s { // U+FFFD for what is no UTF-8
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

// escaper escapes its arguments as print shows them.
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
