package player

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/sluice-proxy/sluice/internal/orphans"
	"github.com/sluice-proxy/sluice/internal/outputs"
)

// browser is Chromium with one page, driven over a pipe.
// https://chromedevtools.github.io/devtools-protocol/
type browser struct {
	t        *testing.T
	commands *os.File
	answers  *bufio.Reader
	session  string
	last     int
	problems []string // what the page's console has
}

// open opens a page.
func open(t *testing.T, url string) *browser {
	t.Helper()
	if _, err := exec.LookPath("chromium"); err != nil {
		t.Skip("chromium is not installed")
	}
	commands, in, err := pipe(t)
	if err != nil {
		t.Fatal(err)
	}
	out, answers, err := pipe(t)
	if err != nil {
		t.Fatal(err)
	}
	said := &outputs.Buffer{}
	profile, err := os.MkdirTemp("", "player-")
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command("chromium", "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run",
		"--disable-background-networking", "--disable-component-update", "--disable-sync", "--disable-dev-shm-usage", "--no-proxy-server",
		"--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1", "--user-data-dir="+filepath.Join(profile, "profile"), "--remote-debugging-pipe")
	cmd.Stderr = said
	cmd.ExtraFiles = []*os.File{in, out} // its 3 and 4
	if err := orphans.StartFor(t, cmd); err != nil {
		t.Fatal(err)
	}
	_, _ = in.Close(), out.Close()
	t.Cleanup(func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
		eventually(t, "Chromium no longer writes to its profile", func() bool { return os.RemoveAll(profile) == nil })
		if t.Failed() {
			t.Log(said.String())
		}
	})
	b := &browser{t: t, commands: commands, answers: bufio.NewReader(answers)}
	var target struct{ TargetID string }
	b.must("Target.createTarget", map[string]any{"url": "about:blank"}, &target)
	var attached struct{ SessionID string }
	b.must("Target.attachToTarget", map[string]any{"targetId": target.TargetID, "flatten": true}, &attached)
	b.session = attached.SessionID
	b.must("Log.enable", nil, nil)
	b.must("Page.navigate", map[string]any{"url": url}, nil)
	return b
}

// pipe returns both ends of a pipe, which are closed at the end of the test.
func pipe(t *testing.T) (w, r *os.File, err error) {
	r, w, err = os.Pipe()
	if err == nil {
		t.Cleanup(func() { _, _ = r.Close(), w.Close() })
	}
	return w, r, err
}

// must is call, without an error.
func (b *browser) must(method string, params map[string]any, result any) {
	b.t.Helper()
	if err := b.call(method, params, result); err != nil {
		b.t.Fatalf("%s: %v", method, err)
	}
}

// call calls a method and reads its result, or the error that Chromium answers with.
func (b *browser) call(method string, params map[string]any, result any) error {
	b.t.Helper()
	b.last++
	request := map[string]any{"id": b.last, "method": method, "params": params}
	if params == nil {
		delete(request, "params")
	}
	if b.session != "" {
		request["sessionId"] = b.session
	}
	text, err := json.Marshal(request)
	if err != nil {
		b.t.Fatal(err)
	}
	if _, err := b.commands.Write(append(text, 0)); err != nil {
		b.t.Fatal(err)
	}
	for {
		text, err := b.answers.ReadBytes(0)
		if err != nil {
			b.t.Fatal(err)
		}
		var answer struct {
			ID             int
			Method         string
			Params, Result json.RawMessage
			Error          *struct{ Message string }
		}
		if err := json.Unmarshal(text[:len(text)-1], &answer); err != nil {
			b.t.Fatal(err)
		}
		switch {
		case answer.Method == "Log.entryAdded":
			b.problems = append(b.problems, string(answer.Params))
		case answer.ID != b.last:
		case answer.Error != nil:
			return errors.New(answer.Error.Message)
		case result == nil:
			return nil
		default:
			return json.Unmarshal(answer.Result, result)
		}
	}
}

// eval returns the value of an expression in the page as a string, or the error that there is while another page is loaded.
func (b *browser) eval(expression string) string {
	b.t.Helper()
	var got struct{ Result struct{ Value any } }
	if err := b.call("Runtime.evaluate", map[string]any{"expression": "String(" + expression + ")", "returnByValue": true}, &got); err != nil {
		return err.Error()
	}
	return fmt.Sprint(got.Result.Value)
}

func (b *browser) waits(expression, want string) {
	b.t.Helper()
	got := ""
	defer func() {
		if got != want {
			b.t.Errorf("%s: %q, want %q", expression, got, want)
		}
	}()
	eventually(b.t, expression, func() bool { got = b.eval(expression); return got == want })
}

const (
	entries = `[...document.querySelectorAll("#events > li")].map(e => e.className + " " + e.querySelector("code").textContent).join()`
	press   = `document.querySelector("button[value=%s]").click()`
)

// In Chromium the form sends an event, which comes back and is shown; others appear without a reload; and hostile ones are text.
func TestInChromium(t *testing.T) {
	w := newWorld(t, config{instance: "pod-1"})
	b := open(t, w.url)
	b.waits(`document.title`, "CloudEvents player")
	b.waits(`typeof stream === "object" && stream.readyState`, "1")
	fill := `for (const [name, value] of Object.entries({id: "one", type: "order", source: "/shop", extension: "customer", value: "4 \"2\"", data: '{"n":\n1}'}))
		document.querySelector("[name=" + name + "]").value = value`
	b.eval("(() => {" + fill + "})()")
	b.eval(fmt.Sprintf(press, "send"))
	b.waits(`document.querySelector("[role=status]")?.textContent`, "sent one")
	b.waits(entries, "sent one,received one")
	b.waits(`document.querySelector("[name=data]").value`, "{\"n\":\n1}")
	b.waits(`document.querySelector("[name=value]").value`, `4 "2"`)
	if h := <-w.seen; h.Get("Ce-Customer") != "4%20%222%22" || h.Get("Ce-Type") != "order" {
		t.Errorf("%v", h)
	}

	b.waits(`typeof stream === "object" && stream.readyState`, "1")
	b.eval(`window.sameDocument = true`)
	const evil = `</pre></li><img src=x onerror="window.hacked=1"><script>window.hacked=1</script>`
	if status, text := w.do(http.MethodPost, "", evil+"\ndata: x", "Ce-Specversion: 1.0", "Ce-Id: two", "Ce-Source: /s", "Ce-Type: %3Cscript%3Ewindow.hacked=1%3C/script%3E",
		"Content-Type: text/plain"); status != http.StatusAccepted {
		t.Fatal(text)
	}
	b.waits(entries, "received two,sent one,received one")
	b.waits(`document.querySelector("#events pre").textContent`, evil+"\ndata: x")
	b.waits(`document.querySelectorAll("#events img, #events script").length + " " + window.hacked + " " + window.sameDocument`, "0 undefined true")

	for i := range mostEntries + 5 {
		w.do(http.MethodPost, "", "", "Ce-Specversion: 1.0", fmt.Sprintf("Ce-Id: more-%d", i), "Ce-Source: /s", "Ce-Type: t")
	}
	b.waits(`document.querySelector("#events code").textContent`, fmt.Sprintf("more-%d", mostEntries+4))
	b.waits(`document.querySelectorAll("#events > li").length`, fmt.Sprint(mostEntries))
	w.do(http.MethodDelete, "messages", "")
	b.waits(entries, "")

	b.eval(fmt.Sprintf(press, "loop"))
	b.waits(`location.pathname + document.querySelector("[name=type]").value`, "/sendorder")
	if len(w.seen) != 0 {
		t.Error("New ID has sent an event")
	}
	if len(b.problems) > 0 {
		t.Errorf("the console has %s", strings.Join(b.problems, "\n"))
	}
}
