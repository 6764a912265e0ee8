package e2e

import (
	"crypto/rand"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// server is a real server that is used as an app.
type server struct {
	name     string
	program  string // must be installed; empty: none
	protocol string // the revision's: http1, h2c; empty: the client's, if the app supports it
	can      string // traits, with spaces between them
	command  func(s *realApps, dir string, port int) *exec.Cmd
}

// servers all serve the files of realApps at /files/. Their further traits:
//
//	echo      POST /echo answers with the body; chunked: also with a chunked one
//	continue  it sends 100 Continue if asked to; ignorant: it begins its answer instead, and reads the rest
//	store     PUT /store/NAME is GET /store/NAME afterwards
//	refuse    POST /refuse answers 413 before the body has come
//	range, 304, gzip, 204 (at /none), trailers (at /files/trailers.txt), hints (103 at /hints), target (/target/ answers its own)
//	duplex    /echo answers as it reads; aborts: it counts clients that disconnect; events: six at /sse; socket: an echo at /ws
//	heads     it accepts a head of 16 KiB
//	stats     /stats counts requests
var servers = []server{
	{"nginx", "nginx", "http1", "store refuse range 304 gzip 204 trailers", nginx("")},
	{"nginx-h2", "nginx", "h2c", "store range 304 gzip 204 heads", nginx(" http2")},
	{"caddy", "caddy", "", "echo chunked continue refuse range 304 gzip 204 heads", caddy},
	{"python", "python3", "", "echo ignorant 304 heads", python},
	{"node", "node", "", "echo chunked continue refuse 204 trailers hints target duplex events aborts stats", node},
	{"go", "", "", "echo chunked continue range 304 heads duplex events socket stats", goApp},
}

func (h server) has(trait string) bool {
	return trait == "" || slices.Contains(strings.Fields(h.can), trait)
}

// realApps has a pod for each server whose program is installed, and an activator with a revision of the same name for each.
type realApps struct {
	*cluster
	servers []server
	files   string            // the directory that servers serve
	large   []byte            // one of the files
	pods    map[string]*pod   // by server
	skips   map[string]string // reason why a server has no pod
}

// route is a way to a server.
type route struct {
	server
	name string // queue-proxy, or activator, which forwards to the queue-proxy
	addr string
	host string // for the Host field
}

func (d route) url(path string) string { return "http://" + d.host + path }

// newRealApps starts the servers whose programs are installed.
func newRealApps(t *testing.T, servers ...server) *realApps {
	t.Helper()
	s := &realApps{cluster: newCluster(t, ""), servers: servers, pods: map[string]*pod{}, skips: map[string]string{}}
	s.fill(t)
	revisions := "revisions:\n"
	for _, h := range servers {
		if _, err := exec.LookPath(h.program); h.program != "" && err != nil {
			s.skips[h.name] = h.program + " is not installed"
			continue
		}
		p := s.build(t, h)
		s.pods[h.name] = p
		revisions += fmt.Sprintf("- {namespace: default, name: %s, protocol: %q, containerConcurrency: %d, pods: [{address: %q}]}\n",
			h.name, h.protocol, podLimit, p.addr)
	}
	s.write(revisions)
	c := clientOf(t, s.addr, 1)
	for name, p := range s.pods {
		eventually(t, name+" listens", func() bool { return listens("127.0.0.1:" + itoa(p.appPort)) })
		eventually(t, "the activator knows "+name, func() bool {
			return get(c, "http://"+name+".default.svc.cluster.local/files/small.txt").status != http.StatusNotFound
		})
	}
	return s
}

// build starts a server behind a queue-proxy.
func (s *realApps) build(t testing.TB, h server) *pod {
	t.Helper()
	p := s.pod(h.name, "SERVING_REVISION="+h.name)
	dir := filepath.Join(s.dir, h.name)
	if err := os.Mkdir(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	cmd := h.command(s, dir, p.appPort)
	cmd.Dir = dir
	cmd.Env = append(os.Environ(), append(cmd.Env, "PORT="+strconv.Itoa(p.appPort), "FILES="+s.files, "HOME="+dir,
		"XDG_DATA_HOME="+dir, "XDG_CONFIG_HOME="+dir)...)
	p.app = s.launch("app-"+h.name, cmd)
	return p
}

// fill makes the files that servers serve; all users can read them.
func (s *realApps) fill(t testing.TB) {
	t.Helper()
	s.files, s.large = filepath.Join(s.dir, "root"), make([]byte, largeSize)
	_, _ = rand.Read(s.large)
	script := readFile(t, "testdata/echo.sh")
	page := readFile(t, "testdata/page.html")
	for name, content := range map[string][]byte{
		"files/small.txt": []byte(smallText), "files/empty.bin": nil, "files/large.bin": s.large,
		"files/page.html": page, "cgi-bin/echo": script,
	} {
		path := filepath.Join(s.files, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, content, 0o755); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.Chmod(filepath.Dir(s.dir), 0o755); err != nil { // the test's own directory
		t.Fatal(err)
	}
}

// largeSize is the size of files/large.bin, which is large enough to be spliced.
const largeSize = 1<<20 + 1

// smallText is the content of files/small.txt, which is long enough for nginx and Caddy to compress it.
var smallText = strings.Repeat("All work and no play makes Jack a dull boy.\n", 40)

func readFile(t testing.TB, name string) []byte {
	t.Helper()
	b, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// routes calls one for each route on which the protocol works, as parts of a test for each server.
func (s *realApps) routes(t *testing.T, h2 bool, one func(t *testing.T, d route)) {
	for _, h := range s.servers {
		t.Run(h.name, func(t *testing.T) {
			if why := s.skips[h.name]; why != "" {
				t.Skip(why)
			}
			for _, d := range s.routesTo(h, h2) {
				t.Run(d.name, func(t *testing.T) { one(t, d) })
			}
		})
	}
}

// routesTo returns the routes to a server on which HTTP/1.1, or HTTP/2, works. For a client of HTTP/1.1 a queue-proxy always
// uses HTTP/1.1 to its app; only the activator uses the revision's protocol.
func (s *realApps) routesTo(h server, h2 bool) []route {
	if s.skips[h.name] != "" {
		return nil
	}
	p := s.pods[h.name]
	_, port, _ := strings.Cut(s.addr, ":")
	ways := []route{
		{server: h, name: "queue-proxy", addr: p.addr, host: p.addr},
		{server: h, name: "activator", addr: s.addr, host: h.name + ".default.svc.cluster.local:" + port},
	}
	if h.protocol == "h2c" && !h2 {
		return ways[1:]
	}
	return ways
}
