package proxy_test

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"os/exec"
	"strings"
	"testing"

	"github.com/sluice-proxy/sluice/proxy"
)

// What a client is sent of the corpus of answers is read by Node's parser, strict and lenient, as by net/http: the same
// answer, and after it, on the same connection if that goes on, the answer to the next request.
func TestParsersAgreeOnAnswers(t *testing.T) {
	for _, mode := range []string{"strict", "lenient"} {
		t.Run("Node "+mode, func(t *testing.T) {
			t.Parallel()
			app, _ := startAnswerer(t, schedule{stray: true})
			addr := serveEngine(t, proxy.Config{Name: "x", Policy: toApp{addr: app}})
			ask := startNodeClient(t, addr, mode)
			for about, all := range answers {
				for i, d := range all {
					what := fmt.Sprintf("%s/%d: RFC %s: %q", about, i, d.rfc, d.sent)
					method := "GET"
					if d.method != "" {
						method = d.method
					}
					got := ask(method, fmt.Sprintf("/%s/%d", strings.ReplaceAll(about, " ", "%20"), i))
					switch {
					case d.status == http.StatusBadGateway && (got.Error != "" || got.Status == d.status):
					case got.Error != "" || got.Status != d.status || latin1(got.Body) != d.body || pairs(got.Fields).Get("X-Stray") != "":
						t.Errorf("%s: %+v; want %d, %q", what, got, d.status, d.body)
					}
					if got := ask("GET", "/next"); got.Status != http.StatusOK || got.Body != "next" {
						t.Errorf("%s: and then: %+v", what, got)
					}
				}
			}
		})
	}
}

// nodeAnswer is a line of client.js.
type nodeAnswer struct {
	Error  string // instead of the rest
	Status int
	Fields []string // names and values in turn
	Body   string
}

// startNodeClient runs a client whose parser is Node's (llhttp), in its strict or its lenient mode.
func startNodeClient(t *testing.T, addr, mode string) (ask func(method, path string) nodeAnswer) {
	t.Helper()
	node, err := exec.LookPath("node")
	if err != nil {
		t.Skip("node is not installed")
	}
	_, port, _ := net.SplitHostPort(addr)
	cmd := exec.Command(node, "testdata/smuggling/client.js", port, mode)
	in, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		in.Close()
		if err := cmd.Wait(); err != nil {
			t.Errorf("node: %v", err)
		}
	})
	lines := bufio.NewScanner(out)
	return func(method, path string) (a nodeAnswer) {
		t.Helper()
		if _, err := io.WriteString(in, method+" "+path+"\n"); err != nil {
			t.Fatal(err)
		}
		if !lines.Scan() || json.Unmarshal(lines.Bytes(), &a) != nil {
			t.Fatalf("node says %q", lines.Text())
		}
		return a
	}
}
