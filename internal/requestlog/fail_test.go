package requestlog

import (
	"fmt"
	"io"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/sluice-proxy/sluice/internal/logpace"
	"github.com/sluice-proxy/sluice/proxy"
)

func TestC8LogTemplateIndexesAHeaderThatIsMissing(t *testing.T) {
	var out lines
	var mu sync.Mutex
	var reported []string
	l := newLog(t, Config{Out: &out, Failed: func(err error) {
		mu.Lock()
		defer mu.Unlock()
		reported = append(reported, err.Error())
	}})
	addr := serve(t, l, editor{local: &proxy.Local{Status: 200, Body: "fine"}})
	for i, c := range []struct{ text, want string }{
		{`{"foo": "{{index .Request.Header "X-Foo" 0}}", "code": {{.Response.Code}}}`, `{"foo": "", "code": 200}`},
		{`{{.Request.TLS.ServerName}}-`, "-"},
		{`{{.Nothing}}-{{if index .Request.Header "X-Foo" 0}}a{{else}}b{{end}}`, "-b"},
		{`{{slice .Request.Method 1 99}}-`, "-"},
		{`{{with .Request.Cookie "k"}}{{.Value}}{{else}}none{{end}}`, "none"},
		{"-\n{{range 100001}}{{end}}", "-"},
	} {
		for n := range 3 {
			if err := l.Set(c.text, true, false); err != nil { // as for a ConfigMap that comes again
				t.Fatal(err)
			}
			if a := ask(t, addr, "GET / HTTP/1.1\nHost: h\nConnection: close\n\n"); !strings.HasSuffix(a, "fine") {
				t.Errorf("answer %q", a)
			}
			done := 3*i + n + 1
			if line := out.await(t, done)[done-1]; strings.TrimSpace(line) != c.want {
				t.Errorf("%s: line %q, want %q", c.text, line, c.want)
			}
			if failed := l.Failed(); failed != uint64(done) {
				t.Errorf("%s: %d failures, want %d", c.text, failed, done)
			}
		}
		mu.Lock()
		if len(reported) != i+1 || !strings.Contains(reported[i], fmt.Sprintf("%q", c.text)) || strings.Contains(reported[i], "\n") {
			t.Errorf("%s: reported %q", c.text, reported)
		}
		mu.Unlock()
	}
	if n := l.Dropped(); n > 0 {
		t.Errorf("%d lines lost", n)
	}
}

func TestC8FailuresAreToldNowAndThen(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var reported []string
		l := newLog(t, Config{Out: io.Discard, Failed: func(err error) { reported = append(reported, err.Error()) }})
		if err := l.Set("{{.Nothing}}", true, false); err != nil {
			t.Fatal(err)
		}
		for range 31 {
			l.write(l.setting.Load(), requests(t)[0])
			time.Sleep(logpace.Every / 10)
		}
		if len(reported) != 4 || !strings.Contains(reported[0], "(0 more") || !strings.Contains(reported[3], "(9 more") || l.Failed() != 31 {
			t.Errorf("%d failures, reported %q", l.Failed(), reported)
		}
	})
}

// A line that is larger than the buffer is cut off.
func TestC8ALineThatIsTooLongIsCut(t *testing.T) {
	var out lines
	l := newLog(t, Config{Out: &out, Buffer: 100})
	if err := l.Set(`{{range 200}}x{{end}}`, true, false); err != nil {
		t.Fatal(err)
	}
	l.write(l.setting.Load(), requests(t)[0])
	if line := out.await(t, 1)[0]; line != strings.Repeat("x", 99)+"\n" {
		t.Errorf("line of %d bytes: %q", len(line), line)
	}
}
