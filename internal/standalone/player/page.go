package player

import (
	_ "embed"
	"fmt"
	"html"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"
)

// html/template would escape by itself; but it, and text/template below it, would have to be compiled at the quickstart's first start.

//go:embed player.js
var script []byte

//go:embed player.css
var style []byte

// policy is the page's Content-Security-Policy: nothing but its own two files, and nobody frames it.
const policy = "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'"

// markup is HTML under construction.
type markup struct{ strings.Builder }

// add appends constant HTML, whose verbs %s stand for values: between tags, or in an attribute's double quotes. It escapes them.
func (m *markup) add(format string, values ...string) {
	escaped := make([]any, len(values))
	for i, v := range values {
		escaped[i] = escape(v)
	}
	fmt.Fprintf(m, format, escaped...)
}

// escape makes text of any bytes: what is no character of HTML becomes U+FFFD.
func escape(text string) string {
	return html.EscapeString(strings.Map(func(r rune) rune {
		if r < ' ' && r != '\n' && r != '\t' || r >= 0x7f && r < 0xa0 {
			return utf8.RuneError
		}
		return r
	}, strings.ReplaceAll(text, "\r\n", "\n")))
}

// page is the whole page.
func (s *server) page(f form) string {
	var m markup
	m.add(`<!DOCTYPE html>
<html lang="en">
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>CloudEvents player</title>
<link rel="stylesheet" href="player.css">
<script src="player.js" defer></script>
<h1>CloudEvents player</h1>
<main>
<section>
<h2>Create event</h2>
<p>to %s</p>
`, s.config.broker)
	f.write(&m)
	b := s.feed.after("")
	m.add(`</section>
<section>
<h2>Activity</h2>
<ol id="events" data-place="%s" data-most="%s">
`, b.place, strconv.Itoa(mostEntries))
	s.writeAll(&m, b.entries)
	m.add("</ol>\n</section>\n</main>\n</html>\n")
	return m.String()
}

// writeAll writes entries, newest first.
func (s *server) writeAll(m *markup, all []entry) {
	for _, e := range slices.Backward(all) {
		s.write(m, e)
	}
}

// mostShown is how much of an event's data the page shows, in bytes.
const mostShown = 8 << 10

// write writes an entry.
func (s *server) write(m *markup, e entry) {
	attribute := func(name string) string { v, _ := e.event.Attribute(name); return v }
	m.add(`<li class="%s"><details><summary><b>%s</b> <span>%s</span> <code>%s</code> <span>%s</span> <span>%s</span> <time>%s</time>`,
		strings.ToLower(string(e.kind)), strings.ToLower(string(e.kind)), attribute("type"), attribute("id"), attribute("source"),
		attribute("subject"), e.at.UTC().Format(time.TimeOnly))
	if e.kind == received && s.config.instance != "" {
		m.add(` <span>by %s</span>`, s.config.instance)
	}
	if e.epoch != "" {
		m.add(` <span>key epoch %s</span>`, e.epoch)
	}
	if e.reason != "" {
		m.add(`<p>%s</p>`, e.reason)
	}
	m.add("</summary>\n<dl>")
	for name, value := range e.event.Attributes() {
		m.add("<dt>%s<dd>%s", name, value)
	}
	m.add("</dl>\n")
	if data := e.event.Data(); len(data) > 0 {
		m.add("<pre>\n%s</pre>", string(data[:min(len(data), mostShown)])) // HTML ignores a newline after the tag
		if more := len(data) - mostShown; more > 0 {
			m.add("<p>%s bytes more</p>", strconv.Itoa(more))
		}
	}
	m.add("</details></li>\n")
}
