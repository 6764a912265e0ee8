package e2e

import (
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// curlVersions are curl's flags for versions of HTTP without TLS, and the version that curl reports. An upgrade to h2c is
// declined.
var curlVersions = []struct{ flag, spoken string }{
	{"--http1.0", "1"}, {"--http1.1", "1.1"}, {"--http2", "1.1"}, {"--http2-prior-knowledge", "2"},
}

// curlCase is a use of curl. Flags and the path may contain $ECHO, $LARGE, $DIR.
type curlCase struct {
	name   string
	needs  string   // a trait of the server
	on     string   // versions of curl's requests; empty: all
	args   []string // without the URL
	path   string
	status string // the status of the final answer
	body   func(s *realApps) []byte
	head   []string // lines, or parts of them, in the heads or trailers
}

func small(*realApps) []byte    { return []byte(smallText) }
func nothing(*realApps) []byte  { return nil }
func large(s *realApps) []byte  { return s.large }
func middle(s *realApps) []byte { return s.large[1000:201_000] }

func text(t string) func(*realApps) []byte { return func(*realApps) []byte { return []byte(t) } }

const oddTarget = "/target/../a%2Fb//%7e/;x?q=%zz&[]={}|^"

var curlCases = []curlCase{
	{name: "GET", path: "/files/small.txt", status: "200", body: small},
	{name: "GET nothing", path: "/files/empty.bin", status: "200", body: nothing},
	{name: "GET much", path: "/files/large.bin", status: "200", body: large},
	{name: "HEAD", args: []string{"-I"}, path: "/files/large.bin", status: "200", body: nil, head: []string{"content-length: 1048577"}},
	{name: "not found", path: "/files/nowhere", status: "404"},
	{
		name: "range", needs: "range", args: []string{"-r", "1000-200999"}, path: "/files/large.bin",
		status: "206", body: middle, head: []string{"content-range: bytes 1000-200999/1048577"},
	},
	{name: "not modified", needs: "304", args: []string{"-z", "$FILES/files/large.bin"}, path: "/files/large.bin", status: "304", body: nothing},
	{name: "gzip", needs: "gzip", args: []string{"--compressed"}, path: "/files/small.txt", status: "200", body: small, head: []string{"content-encoding: gzip"}},
	{name: "no content", needs: "204", path: "/none", status: "204", body: nothing},
	{name: "POST", needs: "echo", args: []string{"--data-binary", "@$LARGE", "-H", "Expect:"}, path: "$ECHO", status: "200", body: large},
	{name: "POST nothing", needs: "echo", args: []string{"--data-binary", ""}, path: "$ECHO", status: "200", body: nothing},
	{
		name: "POST after 100 Continue", needs: "continue", on: "1.1", args: []string{"--data-binary", "@$LARGE", "-H", "Expect: 100-continue"},
		path: "$ECHO", status: "200", body: large, head: []string{"HTTP/1.1 100 Continue"},
	},
	{
		name: "POST that nothing is said to", needs: "ignorant", on: "1.1", args: []string{"--data-binary", "@$LARGE", "-H", "Expect: 100-continue"},
		path: "$ECHO", status: "200", body: large,
	},
	{name: "POST chunked", needs: "chunked", on: "1.1 2", args: []string{"-X", "POST", "-T", "-"}, path: "$ECHO", status: "200", body: large},
	{name: "POST refused", needs: "refuse", on: "1 1.1", args: []string{"--data-binary", "@$LARGE", "-H", "Expect:"}, path: "/refuse", status: "413"},
	{name: "POST refused at once", needs: "refuse", on: "1 1.1", args: []string{"--data-binary", "@$LARGE", "-H", "Expect: 100-continue"}, path: "/refuse", status: "413"},
	{name: "PUT", needs: "store", args: []string{"-T", "$LARGE"}, path: "/store/$STORED", status: "201"},
	{name: "PUT chunked", needs: "store", on: "1.1 2", args: []string{"-T", "-"}, path: "/store/$STORED", status: "204"},
	{name: "GET what was PUT", needs: "store", on: "1.1 2", path: "/store/$STORED", status: "200", body: large},
	{name: "trailers", needs: "trailers", on: "1.1 2", path: "/files/trailers.txt", status: "200", body: small, head: []string{"checksum: sum-of-it"}},
	{
		name: "early hints", needs: "hints", on: "1.1 2", path: "/hints", status: "200", body: text("ok\n"),
		head: []string{" 103 ", "link: </a.css>; rel=preload", "link: </b.css>; rel=preload"},
	},
	{name: "target", needs: "target", args: []string{"--path-as-is", "--globoff"}, path: oddTarget, status: "200", body: text(oddTarget)},
}

func (s *realApps) curl(t *testing.T) {
	needs(t, "curl")
	for _, v := range curlVersions {
		t.Run(v.flag, func(t *testing.T) {
			s.routes(t, v.spoken == "2", func(t *testing.T, d route) {
				for _, c := range curlCases {
					if !d.has(c.needs) || c.on != "" && !strings.Contains(" "+c.on+" ", " "+v.spoken+" ") {
						continue
					}
					if v.flag == "--http2" && (c.args != nil || c.needs != "") {
						continue // it differs from --http1.1 only in the field Upgrade
					}
					s.curlOnce(t, d, c, v.flag, v.spoken)
				}
				if v.spoken == "1.1" { // curl 7.88 can't reuse a connection of HTTP/2 with any server
					s.curlTwice(t, d, v.flag)
				}
			})
		})
	}
}

// curlOnce runs a case and compares the whole answer.
func (s *realApps) curlOnce(t *testing.T, d route, c curlCase, flag, spoken string) {
	t.Helper()
	dir := t.TempDir()
	echo := "/echo"
	if d.server.name == "python" {
		echo = "/cgi-bin/echo"
	}
	fill := strings.NewReplacer("$ECHO", echo, "$LARGE", s.files+"/files/large.bin", "$FILES", s.files, "$STORED", d.name+spoken).Replace
	body, head := filepath.Join(dir, "body"), filepath.Join(dir, "head")
	args := []string{flag, "-o", body, "-D", head, "-w", "%{http_code} %{http_version}"}
	for _, a := range c.args {
		args = append(args, fill(a))
	}
	got := s.run(t, d, append(args, d.url(fill(c.path))))
	if flag == "--http1.0" {
		got = strings.TrimSuffix(got, ".1") // an answer may have the sender's own version (RFC 9110 §6.2)
	}
	if want := c.status + " " + spoken; got != want {
		t.Errorf("%s: %q, want %q", c.name, got, want)
		return
	}
	if c.body != nil {
		if content, _ := os.ReadFile(body); !bytes.Equal(content, c.body(s)) {
			t.Errorf("%s: a body of %d bytes, want these %d", c.name, len(content), len(c.body(s)))
		}
	}
	heads := string(readFile(t, head))
	for _, want := range c.head {
		if !strings.Contains(strings.ToLower(heads), strings.ToLower(want)) {
			t.Errorf("%s: no %q in\n%s", c.name, want, heads)
		}
	}
}

// curlTwice checks that later requests use the first one's connection, also after an answer without a body.
func (s *realApps) curlTwice(t *testing.T, d route, flag string) {
	t.Helper()
	args := []string{flag, "-w", "%{http_code} %{num_connects}\n", "-o", "/dev/null", "-o", "/dev/null", "-o", "/dev/null"}
	got := s.run(t, d, append(args, d.url("/files/empty.bin"), d.url("/files/large.bin"), d.url("/files/small.txt")))
	if want := "200 1\n200 0\n200 0\n"; got != want {
		t.Errorf("three on a connection: %q, want %q", got, want)
	}
}

// run runs curl for a route, with the large file as standard input.
func (s *realApps) run(t *testing.T, d route, args []string) string {
	t.Helper()
	all := append([]string{"-sS", "--noproxy", "*", "--max-time", "30", "--connect-to", "::" + d.addr}, args...)
	cmd := exec.CommandContext(t.Context(), "curl", all...)
	cmd.Stdin = bytes.NewReader(s.large)
	var stderr strings.Builder
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		return fmt.Sprintf("curl %v: %v: %s %s", args, err, out, stderr.String())
	}
	return string(out)
}
