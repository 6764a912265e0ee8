package requestlog

import (
	"bytes"
	"encoding/json"
	"net"
	"strings"
	"testing"
	"time"

	"golang.org/x/net/http2"
	"golang.org/x/net/http2/hpack"

	"github.com/sluice-proxy/sluice/proxy"
)

// For any bytes that a client sends, a line is JSON that contains them, with the built-in template and with an operator's
// template that escapes in the same way.
func TestC7LinesAreJSON(t *testing.T) {
	operators := strings.Replace(DefaultTemplate, `"referer"`, `"host": "{{js .Request.Host}}", "referer"`, 1)
	for name, text := range map[string]string{"built in": DefaultTemplate, "in a block of YAML": DefaultTemplate + "\n", "an operator's": operators} {
		t.Run(name, func(t *testing.T) {
			var out lines
			l := newLog(t, Config{Out: &out})
			if err := l.Set(text, true, false); err != nil {
				t.Fatal(err)
			}
			addr := serve(t, l, editor{local: &proxy.Local{Status: 200}})
			for i, c := range []struct{ method, target, host, agent, referer string }{
				{"GET", "/o'neil", "h", "curl/8", ""},
				{"P'^`|~", "/a?q=%22\"'<>&=\\", "h", `say "hi" \u0041 \`, "http://r/?a='b'"},
				{"GET", "/", "h", "\x80\xff \U000E0001 \u2028 é😀 \ufffd", "\xed\xa0\x80"},
				{"GET", "/\x80\xff\u00e9", "h", "tab\there", ""},
				{"GET", "/", "h'o\"s\\t", "", ""},
				{"OPTIONS", "*", "[::1]:80", "", ""},
			} {
				answer := ask(t, addr, c.method+" "+c.target+" HTTP/1.1\nHost: "+c.host+"\nUser-Agent: "+c.agent+"\nReferer: "+c.referer+"\nConnection: close\n\n")
				if !strings.HasPrefix(answer, "HTTP/1.1 200") {
					t.Logf("%q %q: %.30q", c.method, c.target, answer) // it is not a valid request, and is not logged
					out.put(`{"httpRequest": {}}`)
					continue
				}
				text := out.await(t, i+1)[i]
				var got struct {
					HTTPRequest struct{ RequestMethod, RequestURL, UserAgent, Referer string }
				}
				if err := json.Unmarshal([]byte(text), &got); err != nil {
					t.Errorf("%s: %v", text, err)
				}
				for what, is := range map[string][2]string{
					"method": {got.HTTPRequest.RequestMethod, c.method}, "url": {got.HTTPRequest.RequestURL, c.target},
					"agent": {got.HTTPRequest.UserAgent, c.agent}, "referer": {got.HTTPRequest.Referer, c.referer},
				} {
					if want := string([]rune(is[1])); is[0] != want {
						t.Errorf("%s %q, want %q", what, is[0], want)
					}
				}
			}
		})
	}
}

// In HTTP/2 a method is any string: one that is not a valid method gets into no line.
func TestC7MethodsOfHTTP2(t *testing.T) {
	var out lines
	l := newLog(t, Config{Out: &out})
	if err := l.Set(`"{{.Request.Method}}"`, true, false); err != nil { // unescaped, as in the built-in template
		t.Fatal(err)
	}
	addr := serve(t, l, editor{local: &proxy.Local{Status: 200}})
	for _, method := range []string{"GE\"T", "GE\\T", "GE'T"} {
		c, err := net.Dial("tcp", addr)
		if err != nil {
			t.Fatal(err)
		}
		_ = c.SetDeadline(time.Now().Add(time.Minute))
		_, _ = c.Write([]byte(http2.ClientPreface))
		f := http2.NewFramer(c, c)
		_ = f.WriteSettings()
		var head bytes.Buffer
		enc := hpack.NewEncoder(&head)
		for _, field := range [][2]string{{":method", method}, {":scheme", "http"}, {":authority", "h"}, {":path", "/"}} {
			_ = enc.WriteField(hpack.HeaderField{Name: field[0], Value: field[1]})
		}
		_ = f.WriteHeaders(http2.HeadersFrameParam{StreamID: 1, BlockFragment: head.Bytes(), EndHeaders: true, EndStream: true})
		for {
			frame, err := f.ReadFrame()
			if err != nil {
				break // the connection is closed
			}
			if h := frame.Header(); h.StreamID == 1 && (h.Type == http2.FrameRSTStream || h.Flags.Has(http2.FlagHeadersEndStream)) {
				break
			}
		}
		c.Close()
	}
	if line := out.await(t, 1)[0]; line != `"GE'T"`+"\n" { // a method may contain ' (RFC 9110 §5.6.2)
		t.Errorf("line %s", line)
	}
}
