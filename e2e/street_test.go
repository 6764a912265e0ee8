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

// house is a kind of app: a real server, and what it can be asked for.
type house struct {
	name     string
	program  string // that has to be installed; empty: none
	protocol string // its revision's: http1, h2c; empty: what the client and the app speak
	can      string // traits, by spaces
	command  func(s *street, dir string, port int) *exec.Cmd
}

// houses all serve the files of a street, at /files/. Their further traits:
//
//	echo      POST /echo answers with the body; chunked: also with a chunked one
//	continue  it says 100 Continue to one that asks; ignorant: it begins its answer instead, and reads on
//	store     PUT /store/NAME is GET /store/NAME afterwards
//	refuse    POST /refuse is 413 before the body has come
//	range, 304, gzip, 204 (at /none), trailers (at /files/trailers.txt), hints (103 at /hints), target (/target/ tells its own)
//	duplex    /echo answers as it reads; aborts: it counts clients that go; events: six at /sse; socket: an echo at /ws
//	heads     a head of 16 KiB is not too large for it
//	stats     /stats counts requests
var houses = []house{
	{"nginx", "nginx", "http1", "store refuse range 304 gzip 204 trailers", nginx("")},
	{"nginx-h2", "nginx", "h2c", "store range 304 gzip 204 heads", nginx(" http2")},
	{"caddy", "caddy", "", "echo chunked continue refuse range 304 gzip 204 heads", caddy},
	{"python", "python3", "", "echo ignorant 304 heads", python},
	{"node", "node", "", "echo chunked continue refuse 204 trailers hints target duplex events aborts stats", node},
	{"go", "", "", "echo chunked continue range 304 heads duplex events socket stats", goApp},
}

func (h house) has(trait string) bool {
	return trait == "" || slices.Contains(strings.Fields(h.can), trait)
}

// street has a pod for each house whose program is installed, and an activator that knows them as revisions by their names.
type street struct {
	*cluster
	houses []house
	files  string            // what houses serve
	large  []byte            // one of the files
	pods   map[string]*pod   // by house
	skips  map[string]string // by house: why there is no pod
}

// door is a way into a house.
type door struct {
	house
	name string // queue-proxy, or activator, which goes to the queue-proxy
	addr string
	host string // for the Host field
}

func (d door) url(path string) string { return "http://" + d.host + path }

// newStreet starts houses; those of a program that is not installed are left out.
func newStreet(t *testing.T, houses ...house) *street {
	t.Helper()
	s := &street{cluster: newCluster(t, ""), houses: houses, pods: map[string]*pod{}, skips: map[string]string{}}
	s.fill(t)
	revisions := "revisions:\n"
	for _, h := range houses {
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

// build starts a house behind a queue-proxy.
func (s *street) build(t testing.TB, h house) *pod {
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

// fill makes the files that houses serve, readable to whoever a house runs its work as.
func (s *street) fill(t testing.TB) {
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

// largeSize is that of files/large.bin: enough for what the kernel moves by itself.
const largeSize = 1<<20 + 1

// smallText is files/small.txt: long enough for nginx and Caddy to compress it.
var smallText = strings.Repeat("All work and no play makes Jack a dull boy.\n", 40)

func readFile(t testing.TB, name string) []byte {
	t.Helper()
	b, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// doors runs one for each way into each house of the street that speaks the protocol.
func (s *street) doors(t *testing.T, h2 bool, one func(t *testing.T, d door)) {
	for _, h := range s.houses {
		t.Run(h.name, func(t *testing.T) {
			if why := s.skips[h.name]; why != "" {
				t.Skip(why)
			}
			for _, d := range s.waysTo(h, h2) {
				t.Run(d.name, func(t *testing.T) { one(t, d) })
			}
		})
	}
}

// waysTo are the doors of a house behind which HTTP/1.1, or HTTP/2, is understood: the queue-proxy speaks HTTP/1.1 for a client
// of HTTP/1.1, whatever its app speaks, and only the activator goes by the revision's protocol.
func (s *street) waysTo(h house, h2 bool) []door {
	if s.skips[h.name] != "" {
		return nil
	}
	p := s.pods[h.name]
	_, port, _ := strings.Cut(s.addr, ":")
	ways := []door{
		{house: h, name: "queue-proxy", addr: p.addr, host: p.addr},
		{house: h, name: "activator", addr: s.addr, host: h.name + ".default.svc.cluster.local:" + port},
	}
	if h.protocol == "h2c" && !h2 {
		return ways[1:]
	}
	return ways
}
