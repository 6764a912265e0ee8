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

// curlVersions are those that curl speaks in the clear, and what it says it has spoken. Upgrade to h2c is declined.
var curlVersions = []struct{ flag, spoken string }{
	{"--http1.0", "1"}, {"--http1.1", "1.1"}, {"--http2", "1.1"}, {"--http2-prior-knowledge", "2"},
}

// curlCase is one thing to do with curl. Flags and the path may name $ECHO, $LARGE, $DIR.
type curlCase struct {
	name   string
	needs  string   // trait of the house
	on     string   // versions that curl speaks; empty: all
	args   []string // without the URL
	path   string
	status string // of the final answer
	body   func(s *street) []byte
	head   []string // lines, or parts of them, in the heads or trailers
}

func small(*street) []byte    { return []byte(smallText) }
func nothing(*street) []byte  { return nil }
func large(s *street) []byte  { return s.large }
func middle(s *street) []byte { return s.large[1000:201_000] }

func text(t string) func(*street) []byte { return func(*street) []byte { return []byte(t) } }

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

func (s *street) curl(t *testing.T) {
	needs(t, "curl")
	for _, v := range curlVersions {
		t.Run(v.flag, func(t *testing.T) {
			s.doors(t, v.spoken == "2", func(t *testing.T, d door) {
				for _, c := range curlCases {
					if !d.has(c.needs) || c.on != "" && !strings.Contains(" "+c.on+" ", " "+v.spoken+" ") {
						continue
					}
					if v.flag == "--http2" && (c.args != nil || c.needs != "") {
						continue // it is --http1.1 but for the field Upgrade
					}
					s.curlOnce(t, d, c, v.flag, v.spoken)
				}
				if v.spoken == "1.1" { // curl 7.88 fails to use a connection of HTTP/2 again, whatever the server
					s.curlTwice(t, d, v.flag)
				}
			})
		})
	}
}

// curlOnce does a case, and compares the whole answer.
func (s *street) curlOnce(t *testing.T, d door, c curlCase, flag, spoken string) {
	t.Helper()
	dir := t.TempDir()
	echo := "/echo"
	if d.house.name == "python" {
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

// curlTwice: the second request goes over the first one's connection, also after an answer without a body.
func (s *street) curlTwice(t *testing.T, d door, flag string) {
	t.Helper()
	args := []string{flag, "-w", "%{http_code} %{num_connects}\n", "-o", "/dev/null", "-o", "/dev/null", "-o", "/dev/null"}
	got := s.run(t, d, append(args, d.url("/files/empty.bin"), d.url("/files/large.bin"), d.url("/files/small.txt")))
	if want := "200 1\n200 0\n200 0\n"; got != want {
		t.Errorf("three on a connection: %q, want %q", got, want)
	}
}

// run runs curl at a door, with the large file at its standard input.
func (s *street) run(t *testing.T, d door, args []string) string {
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
