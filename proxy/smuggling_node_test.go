package proxy_test

import (
	"bufio"
	"encoding/json"
	"net"
	"net/http"
	"os/exec"
	"slices"
	"strconv"
	"sync"
	"testing"
)

// startNode runs an app whose parser is Node's (llhttp), in its strict or its lenient mode.
func startNode(t *testing.T, mode string) *parser {
	t.Helper()
	node, err := exec.LookPath("node")
	if err != nil {
		t.Skip("node is not installed")
	}
	cmd := exec.Command(node, "testdata/smuggling/app.js", mode)
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
	lines := bufio.NewScanner(out)
	lines.Buffer(nil, 1<<20)
	t.Cleanup(func() {
		in.Close()
		if err := cmd.Wait(); err != nil {
			t.Errorf("node: %v", err)
		}
	})
	var first struct{ Listens int }
	if !lines.Scan() || json.Unmarshal(lines.Bytes(), &first) != nil || first.Listens == 0 {
		t.Fatalf("node says %q", lines.Text())
	}
	var mu sync.Mutex
	var all []seen
	var reading sync.WaitGroup
	reading.Go(func() {
		for lines.Scan() {
			var s nodeMessage
			if err := json.Unmarshal(lines.Bytes(), &s); err != nil {
				t.Errorf("node says %q: %v", lines.Text(), err)
			}
			mu.Lock()
			all = append(all, s.seen())
			mu.Unlock()
		}
	})
	t.Cleanup(func() { in.Close(); reading.Wait() })
	return &parser{
		addr: net.JoinHostPort("127.0.0.1", strconv.Itoa(first.Listens)),
		taken: func() []seen {
			mu.Lock()
			defer mu.Unlock()
			return slices.Clone(all)
		},
		refused: map[string]string{
			"get /":        "llhttp has a list of methods",
			"GET /\xe9|\\": "llhttp takes ASCII alone",
		},
	}
}

// nodeMessage is a line of app.js.
type nodeMessage struct {
	Port                 int
	Method, Target, Body string
	Fields, Trailers     []string // names and values in turn
}

func (m *nodeMessage) seen() seen {
	s := seen{
		port: m.Port, method: m.Method, target: latin1(m.Target), body: latin1(m.Body),
		fields: pairs(m.Fields), trailers: pairs(m.Trailers),
	}
	s.host = s.fields.Get("Host")
	delete(s.fields, "Host")
	return s
}

func pairs(list []string) http.Header {
	h := http.Header{}
	for i := 0; i+1 < len(list); i += 2 {
		h.Add(latin1(list[i]), latin1(list[i+1]))
	}
	return h
}

// latin1 makes bytes of characters.
func latin1(s string) string {
	b := make([]byte, 0, len(s))
	for _, r := range s {
		b = append(b, byte(r))
	}
	return string(b)
}
